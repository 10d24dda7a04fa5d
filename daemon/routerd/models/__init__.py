"""The directory of models: which exist, who serves them, what they can do and what they cost."""

from routerd.models.directory import (
    BOUNDARIES,
    DegradedStep,
    Directory,
    Resolution,
    TargetKind,
    UnknownTarget,
)
from routerd.models.load import load_directory
from routerd.models.local import LOCAL_PRICE, ListedLocally
from routerd.models.pricing import (
    LongContextPrice,
    Price,
    PriceChange,
    cost,
    cost_bound,
    discounted,
    dollars_to_nanodollars,
    format_cents,
    format_dollars,
    largest_output,
    own_price,
)
from routerd.models.prompt import PromptAdjustments
from routerd.models.schema import (
    DIMENSIONS,
    Defaults,
    Deployment,
    Model,
    ModelClass,
    Provider,
    Score,
    Scores,
    Shortcut,
)
from routerd.models.tables import ModelRow, ShortcutRow, model_rows, shortcut_rows

__all__ = [
    "BOUNDARIES",
    "DIMENSIONS",
    "LOCAL_PRICE",
    "Defaults",
    "DegradedStep",
    "Deployment",
    "Directory",
    "ListedLocally",
    "LongContextPrice",
    "Model",
    "ModelClass",
    "ModelRow",
    "Price",
    "PriceChange",
    "PromptAdjustments",
    "Provider",
    "Resolution",
    "Score",
    "Scores",
    "Shortcut",
    "ShortcutRow",
    "TargetKind",
    "UnknownTarget",
    "cost",
    "cost_bound",
    "discounted",
    "dollars_to_nanodollars",
    "format_cents",
    "format_dollars",
    "largest_output",
    "load_directory",
    "model_rows",
    "own_price",
    "shortcut_rows",
]
