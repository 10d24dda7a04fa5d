"""Errors say whose fault it is, whether to try again, and what to do next."""

from routerd_client import CallerError, Client, ProviderError

with Client() as client:
    try:
        client.complete("smrt", "Hello")
    except CallerError as error:
        print(f"{error.code}: {error.message}")
    try:
        client.complete("smart", [{"role": "user", "content": ""}])
    except CallerError as error:
        print(f"{error.code}: {error.message}")
    try:
        # Ten seconds of patience, and a whole new answer if a provider dies in the middle of one.
        print(client.complete("fast", "Hello", timeout=10, restart=True).finish)
    except ProviderError as error:
        print(f"{error.code}, again in {error.retry_after} s: {error.retryable}")
