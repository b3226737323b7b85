"""minio_py.py get BUCKET KEY: downloads the object three times, and prints how many bytes that were.

minio_py.py presign BUCKET KEY USER COLLECTION ITEM...: prints a JSON array of presigned URLs, one for each item.
"""

import json
import os
import sys
from datetime import timedelta

from minio import Minio

client = Minio(
    os.environ["ENDPOINT"],
    access_key=os.environ["AWS_ACCESS_KEY_ID"],
    secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
    region=os.environ["AWS_DEFAULT_REGION"],
    secure=False,
)


def get(bucket, key):
    answer = client.get_object(bucket, key)
    try:
        return len(answer.read())
    finally:
        answer.release_conn()


def presign(bucket, key, user, collection, item):
    return client.presigned_get_object(
        bucket,
        key,
        expires=timedelta(minutes=15),
        extra_query_params={"userId": user, "collectionId": collection, "itemId": item, "assetId": "data"},
    )


command, bucket, key, *rest = sys.argv[1:]
if command == "get":
    print(sum(get(bucket, key) for _ in range(3)))
else:
    user, collection, *items = rest
    print(json.dumps([presign(bucket, key, user, collection, item) for item in items]))
