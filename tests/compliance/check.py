"""Runs scim2-tester against a SCIM service provider, such as `provisor sandbox`.

    SCIM_TOKEN=… python tests/compliance/check.py BASE_URL

The provider should be empty: some checks look for what they created on the first page only.
Needs scim2-tester 0.5.2, scim2-client and httpx2 from PyPI. Prints how many checks ended how,
every problem and every skipped check, so that a check that did not run cannot pass for one
that did. Exit status: 0 without problems, 1 with any, 2 on wrong usage.
"""

import collections
import os
import sys

from httpx2 import Client
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import check_server

PROBLEMS = ("ERROR", "CRITICAL", "DEVIATION")


def describe(result):
    subject = f" [{result.resource_type}]" if result.resource_type else ""
    reason = " ".join(str(result.reason or "").split())
    return f"{result.status.name} {result.title}{subject}: {reason}"


def main():
    token = os.environ.get("SCIM_TOKEN")
    if len(sys.argv) != 2 or not token:
        print(__doc__, file=sys.stderr)
        return 2
    client = Client(
        base_url=sys.argv[1],
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
    )
    results = check_server(SyncSCIMClient(client))
    counts = collections.Counter(result.status.name for result in results)
    print(", ".join(f"{counts[name]} {name}" for name in sorted(counts)))
    for result in results:
        if result.status.name in (*PROBLEMS, "SKIPPED"):
            print(describe(result))
    # No result at all is no success either.
    failed = not results or any(counts[name] for name in PROBLEMS)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
