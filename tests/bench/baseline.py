"""The plain way to do the job, to be measured against: everything unpacked, parsed and kept in memory at once.

Usage: baseline.py FILE.json.gz  (metering records to standard output)
"""

import gzip
import json
import sys

PARAMETERS = ("userId", "collectionId", "itemId")


def records(path):
    with gzip.open(path) as file:
        return json.load(file)["Records"]


def line(record):
    """The record as a metering line, or None where it is no presigned download with ids."""
    request = record.get("requestParameters") or {}
    transfer = record.get("additionalEventData") or {}
    presigned = transfer.get("AuthenticationMethod") == "QueryString" and "X-Amz-Expires" in request
    if record.get("eventName") != "GetObject" or not presigned or "errorCode" in record:
        return None
    ids = [request.get(name) for name in PARAMETERS]
    if None in ids:
        return None
    return "|".join([*ids, record["eventTime"], str(int(transfer["bytesTransferredOut"])), "aws_s3"])


def main():
    for record in records(sys.argv[1]):
        found = line(record)
        if found is not None:
            print(found)


if __name__ == "__main__":
    main()
