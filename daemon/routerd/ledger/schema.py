"""The tables, and the numbered steps that lead to them.

Rules of this file: a step that was released is never changed; a new one is added at the end. A step
only adds, or drops an index, so that a daemon of the version before can still read, and its SQL is
written out, so that it does the same for ever. Money is whole nanodollars, times are whole
microseconds or milliseconds since the epoch, days and months are those of UTC.
"""

from __future__ import annotations

import sqlite3
from typing import Final

__all__ = ["APPLICATION_ID", "DIMENSIONS", "MIGRATIONS", "SUMS", "NewerLedger", "migrate"]

# "rtrd" in ASCII: says whose file it is.
APPLICATION_ID: Final = 0x72747264

# What totals are kept by, beside their day or month, and what is summed up.
DIMENSIONS: Final = (
    "tenant",
    "model",
    "provider",
    "feature",
    "task",
    "team",
    "agent",
    "user",
    "target",
    "model_class",
    "deployment",
    "simulated",
)
SUMS: Final = (
    "calls",
    "cached",
    "refused",
    "requests",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_long_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost_nanodollars",
    "estimated_nanodollars",
    "unknown_requests",
)

CALLS: Final = (
    """
    CREATE TABLE calls (
        decision_id TEXT PRIMARY KEY NOT NULL,
        call_id TEXT NOT NULL,
        received_at_ms INTEGER NOT NULL,
        tenant TEXT,
        team TEXT,
        agent TEXT,
        user TEXT,
        feature TEXT,
        task TEXT,
        target TEXT NOT NULL,
        model_class TEXT,
        model TEXT NOT NULL,
        deployment TEXT NOT NULL,
        provider TEXT NOT NULL,
        finish TEXT NOT NULL,
        error_code TEXT,
        degraded TEXT,
        simulated INTEGER NOT NULL,
        attempts INTEGER NOT NULL,
        input_tokens INTEGER,
        cache_read_tokens INTEGER,
        cache_write_tokens INTEGER,
        cache_write_long_tokens INTEGER,
        output_tokens INTEGER,
        reasoning_tokens INTEGER,
        cost_nanodollars INTEGER,
        cost_basis TEXT NOT NULL,
        first_content_us INTEGER,
        total_us INTEGER NOT NULL,
        upstream_us INTEGER NOT NULL,
        trace_id TEXT NOT NULL,
        record TEXT NOT NULL
    ) STRICT
    """,
    "CREATE INDEX calls_by_time ON calls (received_at_ms)",
)

# Sums of a period, for each combination of names.
TOTALS: Final = """
CREATE TABLE {table} (
    {period} INTEGER NOT NULL,
    tenant TEXT NOT NULL,
    model TEXT NOT NULL,
    provider TEXT NOT NULL,
    feature TEXT NOT NULL,
    task TEXT NOT NULL,
    team TEXT NOT NULL,
    agent TEXT NOT NULL,
    user TEXT NOT NULL,
    target TEXT NOT NULL,
    model_class TEXT NOT NULL,
    deployment TEXT NOT NULL,
    simulated INTEGER NOT NULL,
    calls INTEGER NOT NULL,
    cached INTEGER NOT NULL,
    refused INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    cache_read_tokens INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    cache_write_long_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    cost_nanodollars INTEGER NOT NULL,
    estimated_nanodollars INTEGER NOT NULL,
    unknown_requests INTEGER NOT NULL,
    PRIMARY KEY ({period}, tenant, model, provider, feature, task, team, agent, user, target,
        model_class, deployment, simulated)
) STRICT, WITHOUT ROWID
"""
MONEY: Final = (
    # Whoever made the call, how often it was sent, and what an experiment or a judge says of it.
    "ALTER TABLE calls ADD COLUMN peer_uid INTEGER",
    "ALTER TABLE calls ADD COLUMN sends INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE calls ADD COLUMN cached INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE calls ADD COLUMN skipped INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE calls ADD COLUMN arm TEXT",
    "ALTER TABLE calls ADD COLUMN gate TEXT",
    "ALTER TABLE calls ADD COLUMN feedback TEXT",
    # The plan's dropped candidates, as a JSON list: the id of a reason, or a whole entry. NULL
    # where the record itself has them.
    "ALTER TABLE calls ADD COLUMN dropped TEXT",
    "CREATE INDEX calls_by_call_id ON calls (call_id)",
    # One row for each request that was made, or that could not be: `sent` says which. `first` is 1
    # for the first of a call that was sent. A correction is what an invoice says beyond the cost.
    """
    CREATE TABLE attempts (
        decision_id TEXT NOT NULL,
        number INTEGER NOT NULL,
        started_ms INTEGER NOT NULL,
        tenant TEXT,
        team TEXT,
        agent TEXT,
        user TEXT,
        feature TEXT,
        task TEXT,
        target TEXT NOT NULL,
        model_class TEXT,
        model TEXT NOT NULL,
        deployment TEXT NOT NULL,
        provider TEXT NOT NULL,
        key TEXT,
        free INTEGER NOT NULL,
        simulated INTEGER NOT NULL,
        sent INTEGER NOT NULL,
        first INTEGER NOT NULL,
        error_class TEXT,
        input_tokens INTEGER,
        cache_read_tokens INTEGER,
        cache_write_tokens INTEGER,
        cache_write_long_tokens INTEGER,
        output_tokens INTEGER,
        reasoning_tokens INTEGER,
        cost_nanodollars INTEGER,
        cost_basis TEXT NOT NULL,
        correction_nanodollars INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (decision_id, number)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX attempts_by_time ON attempts (started_ms)",
    # Days are counted from the epoch, months are written as 202611. '' stands for none.
    TOTALS.format(table="day_totals", period="day"),
    TOTALS.format(table="month_totals", period="month"),
    # The same with `user` left empty: users are by far the most, and few questions are about them.
    TOTALS.format(table="day_totals_without_user", period="day"),
    TOTALS.format(table="month_totals_without_user", period="month"),
    # What reconciling with an invoice changed.
    """
    CREATE TABLE corrections (
        id INTEGER PRIMARY KEY,
        at_ms INTEGER NOT NULL,
        day INTEGER NOT NULL,
        provider TEXT NOT NULL,
        model TEXT NOT NULL,
        decision_id TEXT NOT NULL,
        number INTEGER NOT NULL,
        delta_nanodollars INTEGER NOT NULL,
        source TEXT NOT NULL
    ) STRICT
    """,
    "CREATE INDEX corrections_by_day ON corrections (day, provider, model)",
    # What calls were decided by, compressed. `last_day` is the last on which a call was.
    """
    CREATE TABLE documents (
        hash TEXT PRIMARY KEY NOT NULL,
        kind TEXT NOT NULL,
        content BLOB NOT NULL,
        last_day INTEGER NOT NULL
    ) STRICT
    """,
    # Why candidates were dropped, as JSON, where that is the same for call after call.
    "CREATE TABLE reasons (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT",
    # Prompts and answers, compressed; only of tenants for whom that is switched on.
    """
    CREATE TABLE texts (
        decision_id TEXT PRIMARY KEY NOT NULL,
        messages BLOB NOT NULL,
        answer BLOB NOT NULL
    ) STRICT
    """,
    # By how much the bound of a deployment is raised, because it was billed above it.
    """
    CREATE TABLE bounds (
        deployment TEXT PRIMARY KEY NOT NULL,
        surcharge_thousandths INTEGER NOT NULL
    ) STRICT
    """,
    # From here on: what the records say that are there already.
    """
    INSERT INTO attempts
    SELECT
        call.decision_id,
        attempt.key + 1,
        (call.record ->> '$.received_at_ns' + attempt.value ->> '$.started_us' * 1000) / 1000000,
        call.tenant, call.team, call.agent, call.user, call.feature, call.task, call.target,
        call.model_class,
        attempt.value ->> '$.model',
        attempt.value ->> '$.deployment',
        attempt.value ->> '$.provider',
        NULL,
        0,
        attempt.value ->> '$.simulated',
        attempt.value ->> '$.sent',
        attempt.key IS (
            SELECT min(sent.key) FROM json_each(call.record, '$.attempts') AS sent
            WHERE sent.value ->> '$.sent'
        ),
        attempt.value ->> '$.error_class',
        attempt.value ->> '$.usage[0]',
        attempt.value ->> '$.usage[1]',
        attempt.value ->> '$.usage[2]',
        attempt.value ->> '$.usage[3]',
        attempt.value ->> '$.usage[4]',
        attempt.value ->> '$.usage[5]',
        attempt.value ->> '$.cost_nanodollars',
        attempt.value ->> '$.cost_basis',
        0
    FROM calls AS call, json_each(call.record, '$.attempts') AS attempt
    WHERE json_valid(call.record)
    """,
    """
    INSERT INTO day_totals
    SELECT
        started_ms / 86400000, ifnull(tenant, ''), model, provider, ifnull(feature, ''),
        ifnull(task, ''), ifnull(team, ''), ifnull(agent, ''), ifnull(user, ''), target,
        ifnull(model_class, ''), deployment, simulated,
        sum(first), 0, 0, sum(sent),
        sum(ifnull(input_tokens, 0)), sum(ifnull(cache_read_tokens, 0)),
        sum(ifnull(cache_write_tokens, 0)), sum(ifnull(cache_write_long_tokens, 0)),
        sum(ifnull(output_tokens, 0)), sum(ifnull(reasoning_tokens, 0)),
        sum(ifnull(cost_nanodollars, 0)),
        sum(iif(cost_basis = 'estimated', ifnull(cost_nanodollars, 0), 0)),
        sum(sent AND cost_nanodollars IS NULL)
    FROM attempts
    WHERE sent OR ifnull(cost_nanodollars, 0) OR input_tokens IS NOT NULL
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13
    """,
    """
    INSERT INTO day_totals
    SELECT
        received_at_ms / 86400000, ifnull(tenant, ''), model, provider, ifnull(feature, ''),
        ifnull(task, ''), ifnull(team, ''), ifnull(agent, ''), ifnull(user, ''), target,
        ifnull(model_class, ''), deployment, simulated,
        0, 0, count(*), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
    FROM calls
    WHERE decision_id NOT IN (SELECT decision_id FROM attempts WHERE sent)
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13
    ON CONFLICT DO UPDATE SET refused = refused + excluded.refused
    """,
    """
    INSERT INTO month_totals
    SELECT
        CAST(strftime('%Y%m', day * 86400, 'unixepoch') AS INTEGER), tenant, model, provider,
        feature, task, team, agent, user, target, model_class, deployment, simulated,
        sum(calls), sum(cached), sum(refused), sum(requests), sum(input_tokens),
        sum(cache_read_tokens), sum(cache_write_tokens), sum(cache_write_long_tokens),
        sum(output_tokens), sum(reasoning_tokens), sum(cost_nanodollars),
        sum(estimated_nanodollars), sum(unknown_requests)
    FROM day_totals
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13
    """,
    *(
        f"""
        INSERT INTO {period}_totals_without_user
        SELECT
            {period}, tenant, model, provider, feature, task, team, agent, '', target, model_class,
            deployment, simulated,
            sum(calls), sum(cached), sum(refused), sum(requests), sum(input_tokens),
            sum(cache_read_tokens), sum(cache_write_tokens), sum(cache_write_long_tokens),
            sum(output_tokens), sum(reasoning_tokens), sum(cost_nanodollars),
            sum(estimated_nanodollars), sum(unknown_requests)
        FROM {period}_totals
        GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13
        """  # noqa: S608 - only names of this file
        for period in ("day", "month")
    ),
)

# Of all other columns: what tells a row that somebody changed. NULL in rows from before.
DIGEST: Final = ("ALTER TABLE calls ADD COLUMN digest TEXT",)

# The last call that was written without a digest, NULL where there is none: what comes after it and
# has none was changed.
UNDIGESTED: Final = (
    "CREATE TABLE undigested (decision_id TEXT) STRICT",
    "INSERT INTO undigested SELECT max(decision_id) FROM calls WHERE digest IS NULL",
)

# How many thousandths of our estimate a model counts, for text in Latin letters and for other text.
TOKEN_RATES: Final = (
    """
    CREATE TABLE token_rates (
        model TEXT NOT NULL,
        other_script INTEGER NOT NULL,
        thousandths INTEGER NOT NULL,
        PRIMARY KEY (model, other_script)
    ) STRICT, WITHOUT ROWID
    """,
)

# A client's ids have no order: an index of them alone has each new call on another page, of as many
# as there are calls. Beside the hour it meets pages of that hour only.
HOURS: Final = (
    "CREATE INDEX calls_by_hour_and_call_id ON calls (received_at_ms / 3600000, call_id)",
    "DROP INDEX calls_by_call_id",
)

# By kinds of script, of which there are more than two. What was learned of all others together says
# nothing of any of them.
SCRIPT_RATES: Final = (
    """
    CREATE TABLE script_rates (
        model TEXT NOT NULL,
        script TEXT NOT NULL,
        thousandths INTEGER NOT NULL,
        PRIMARY KEY (model, script)
    ) STRICT, WITHOUT ROWID
    """,
    """
    INSERT INTO script_rates
    SELECT model, 'latin', thousandths FROM token_rates WHERE other_script = 0
    """,
    "DROP TABLE token_rates",
    "ALTER TABLE script_rates RENAME TO token_rates",
)

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    CALLS,
    MONEY,
    DIGEST,
    UNDIGESTED,
    TOKEN_RATES,
    HOURS,
    SCRIPT_RATES,
)


class NewerLedger(Exception):  # noqa: N818 - it says what was found
    """The file was written by a later version of routerd."""


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a database to the newest version, each step in a transaction of its own."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise NewerLedger(f"it is of version {version}, this routerd knows {len(MIGRATIONS)}")
    for number, statements in enumerate(MIGRATIONS[version:], version + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in statements:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
