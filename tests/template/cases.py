"""Ways to deploy the template: parameters by the case's name."""

ACCOUNT = "eu-central-1:123456789012"
METERING = {
    "ProcessApiUrl": "https://rs.example/processes/6f4e6f2c-7d0a-4b7e-9d39-0c8b6f1f6f11/execution",
    "AuthUrl": "https://auth.example/auth/v1/token",
    "ClientId": "8d2f0e51-0e5c-4d3f-8d59-0d7a4a3b9c20",
    "AuthItemId": "rs.example",
}

CASES = {
    "an existing bucket": {"LogBucketName": "logs", **METERING, "ClientSecret": "a-secret-of-the-test"},
    "an existing bucket that notifies": {
        "LogBucketName": "logs",
        "ExistingBucketTrigger": "notification",
        "PlausibleApiUrl": "https://plausible.example",
        "PlausibleDataDomain": "data.example",
        "AlarmTopicArn": f"arn:aws:sns:{ACCOUNT}:operators",
        "QuietHours": 0,
    },
    "everything, own keys": {
        "LogBucketName": "metering-logs",
        "CreateLogBucket": "true",
        "LogFileDays": "400",
        "LedgerTtl": "400d",
        "LogKmsKeyArn": f"arn:aws:kms:{ACCOUNT}:key/0d8e2f8a-1f7d-4a64-9b6c-5b1a1c3f2e10",
        "SecretsKmsKeyArn": f"arn:aws:kms:{ACCOUNT}:key/7a1b9c55-2e4d-4f0a-8d7e-3c2b1a0f9e88",
        "TrailDataArns": "arn:aws:s3:::scenes/,arn:aws:s3:::maps/public/",
        **METERING,
        "ClientSecretArn": f"arn:aws:secretsmanager:{ACCOUNT}:secret:metering/client-AbCdEf",
        "WebhookAuthTokenArn": f"arn:aws:secretsmanager:{ACCOUNT}:secret:metering/webhook-GhIjKl",
        "JobAuthRole": "provider",
        "PlausibleApiUrl": "https://plausible.example",
        "PlausibleDataDomain": "data.example",
        "PlausibleInclude": "scenes/*.tif; maps/public/**",
        "PathTemplate": "{collection}/{item}/{asset}",
        "ReceiverConcurrency": 20,
        "AlarmEmail": "operators@example.org",
        "Architecture": "x86_64",
    },
}
