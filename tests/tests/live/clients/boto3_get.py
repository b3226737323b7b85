"""boto3_get.py BUCKET KEY: downloads the object three times, and prints how many bytes that were."""

import os
import sys

import boto3
from botocore.config import Config

bucket, key = sys.argv[1:]
s3 = boto3.client(
    "s3",
    endpoint_url="http://" + os.environ["ENDPOINT"],
    config=Config(s3={"addressing_style": "path"}),
)
print(sum(len(s3.get_object(Bucket=bucket, Key=key)["Body"].read()) for _ in range(3)))
