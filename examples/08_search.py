"""Find by meaning: vectors narrow down, a ranking decides. Stay with the model of the index."""

from routerd_client import Client

NOTES = [
    "The lantern by the harbour is lit at dusk.",
    "Our budget for paper was spent in March.",
    "Who keeps the harbour lantern? The warden does.",
]
QUESTION = "Who keeps the lantern?"

with Client() as client:
    index = client.embed("embed", NOTES, purpose="document")
    print(f"{len(index.vectors)} vectors of {index.dimensions} numbers, by {index.model}")
    # Vectors of two models cannot be compared: by its name, not by "embed".
    asked = client.embed(index.model, QUESTION, purpose="query").vectors[0]
    nearness = [sum(a * b for a, b in zip(asked, v, strict=True)) for v in index.vectors]
    nearest = sorted(range(len(NOTES)), key=lambda place: -nearness[place])
    documents = [NOTES[place] for place in nearest]
    ranking = client.rerank("rerank", QUESTION, documents, top=1)
    print(f"{ranking.of(documents)[0]} ({ranking.model}, {ranking.cost_cents:.4f} cents)")
