"""What must hold of template.yaml in every way that it can be deployed; run by `make check`."""

import re

import render
from stacks import FUNCTIONS, VARIABLES, Stacks, for_each_stack, listed

# Variables that the functions are not to have, and why.
NOT_ON_LAMBDA = {
    **dict.fromkeys(["CLIENT_SECRET", "WEBHOOK_AUTH_TOKEN"], "secrets are read from Secrets Manager"),
    "ALLOW_UNAUTHENTICATED": "a public URL without a token is open to everybody",
    **dict.fromkeys(["PORT", "BIND_ADDRESS", "SPOOL"], "the standalone receiver's"),
    "DATABASE_URL": "the command line tool's",
    **{name: "the command line tool's, to set MinIO up" for name in VARIABLES if name.startswith("MINIO_")},
    "RECEIVER_URL": "the command line tool's, to set MinIO up",
    **{name: "files with secrets are for machines" for name in VARIABLES if name.endswith("_FILE")},
    **dict.fromkeys(["SSL_CERT_FILE", "SSL_CERT_DIR"], "a layer of one's own brings such files, and sets these"),
    "AWS_REGION": "set by Lambda itself",
    **{name: "other endpoints are for tests" for name in VARIABLES if name.startswith("AWS_ENDPOINT_URL")},
}
DAY = 24 * 60 * 60


class Template(Stacks):
    def statements(self, stack):
        """(resource, whether it is a role's, statement) of every policy."""
        for name, role in stack.of_type("AWS::IAM::Role").items():
            self.assertNotIn("ManagedPolicyArns", role, name)
            for policy in role["Policies"]:
                yield from ((name, True, own) for own in policy["PolicyDocument"]["Statement"])
        for name, resource in stack.resources.items():
            document = resource.get("Properties", {}).get("PolicyDocument")
            if document:
                yield from ((name, False, own) for own in document["Statement"])

    @for_each_stack
    def test_what_is_referred_to_is_there(self, stack):
        self.assertEqual(stack.references - set(stack.resources), set())

    @for_each_stack
    def test_nothing_is_allowed_by_wildcard(self, stack):
        for name, of_role, own in self.statements(stack):
            where = f"{name}, {own.get('Sid')}"
            self.assertNotIn("NotAction", own, where)
            self.assertNotIn("NotResource", own, where)
            if own["Effect"] == "Deny":
                self.assertEqual(own["Condition"], {"Bool": {"aws:SecureTransport": "false"}}, where)
                continue
            for action in listed(own["Action"]):
                self.assertRegex(action, r"^[a-z0-9]+:[A-Za-z]+$", where)
            for resource in listed(own["Resource"]):
                # A wildcard only behind a bucket's name: keys, never buckets.
                self.assertRegex(resource, r"^(arn:aws:s3:::[^*/]+(/[^*]*\*?)?|[^*]+|\$\{[A-Za-z.]+\}/[a-z]+/\*)$", where)
            if of_role:
                self.assertNotIn("Principal", own, where)
            else:
                self.assertEqual(list(own["Principal"]), ["Service"], where)
                # A service acts for anybody who asks it to; here for this account alone. The ARN of a source says so if it is
                # of the stack, or holds the account's id, which a bucket's does not.
                asked = {key: value for condition in own["Condition"].values() for key, value in condition.items()}
                account, source = render.PSEUDO["AWS::AccountId"], asked.get("aws:SourceArn", "")
                reference = re.fullmatch(r"\$\{(\w+)\.Arn\}", source)
                self.assertTrue(
                    asked.get("aws:SourceAccount") == account
                    or (reference and reference.group(1) in stack.resources)
                    or source.split(":")[4:5] == [account],
                    where,
                )

    def test_cloudtrail_is_bound_by_its_trail_alone(self):
        # It documents aws:SourceArn, and no other key that says for whom it writes.
        found = set()
        for name, stack in self.stacks.items():
            for _, _, own in self.statements(stack):
                if own.get("Principal") == {"Service": "cloudtrail.amazonaws.com"}:
                    conditions = {operator: dict(keys) for operator, keys in own["Condition"].items()}
                    found.add((name, own["Action"], conditions.pop("ArnLike")["aws:SourceArn"]))
                    asked = {"StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control"}}
                    self.assertEqual(conditions, asked if own["Action"] == "s3:PutObject" else {}, name)
        trail = "arn:aws:cloudtrail:eu-central-1:123456789012:trail/metering"
        actions = ["s3:GetBucketAcl", "s3:PutObject"]
        self.assertEqual(found, {("everything, own keys", action, trail) for action in actions})

    def test_each_function_has_the_permissions_of_its_work_alone(self):
        consume = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
        data = ["GetItem", "PutItem", "DeleteItem", "DescribeTable", "DescribeTimeToLive"]
        deliver = {
            "LedgerTable": [f"dynamodb:{action}" for action in data],
            "QuarantineBucket/quarantine/*": ["s3:PutObject"],
            # What is held already is merged with what came since.
            "QuarantineBucket/held/*": ["s3:GetObject", "s3:PutObject"],
            "ClientSecretArn": ["secretsmanager:GetSecretValue"],
            "SecretsKmsKeyArn": ["kms:Decrypt"],
        }
        write = ["logs:CreateLogStream", "logs:PutLogEvents"]
        expected = {
            "CloudTrailRole": {
                "CloudTrailLogGroup": write,
                "LogQueue": consume,
                "LogBucketName/AWSLogs/*": ["s3:GetObject"],
                "LogKmsKeyArn": ["kms:Decrypt"],
                **deliver,
            },
            "ReceiverRole": {
                "ReceiverLogGroup": write,
                "EntryQueue": ["sqs:SendMessage", "sqs:GetQueueAttributes"],
                "LedgerTable": ["dynamodb:GetItem"],
                "QuarantineBucket/quarantine/*": ["s3:PutObject"],
                "WebhookAuthTokenArn": ["secretsmanager:GetSecretValue"],
                "SecretsKmsKeyArn": ["kms:Decrypt"],
            },
            "DelivererRole": {"DelivererLogGroup": write, "EntryQueue": consume, **deliver},
        }
        stack = self.stacks["everything, own keys"]
        names = {stack.parameters[name]: name for name in stack.parameters if name.endswith("Arn")}
        bucket = f"arn:aws:s3:::{stack.parameters['LogBucketName']}/"

        def named(resource):
            own = re.sub(r"^\$\{(\w+)\.Arn\}", r"\1", resource.replace(bucket, "LogBucketName/"))
            return names.get(own, own)

        found = {name: set() for name in expected}
        for name, of_role, own in self.statements(stack):
            if of_role:
                resources = map(named, listed(own["Resource"]))
                found[name] |= {(action, resource) for resource in resources for action in listed(own["Action"])}
        pairs = {
            role: {(action, resource) for resource, actions in own.items() for action in actions}
            for role, own in expected.items()
        }
        self.assertEqual(found, pairs)
        for stack in self.stacks.values():
            for name, _, own in self.statements(stack):
                if name == "ReceiverRole" and "secretsmanager:GetSecretValue" in listed(own["Action"]):
                    self.assertNotIn("ClientSecret", str(own["Resource"]))
                if "kms:Decrypt" in listed(own["Action"]):
                    self.assertRegex(own["Resource"], r"^arn:aws:kms:.*:key/")

    @for_each_stack
    def test_queues_are_encrypted_and_outlast_their_functions(self, stack):
        queues = stack.of_type("AWS::SQS::Queue")
        functions = stack.of_type("AWS::Lambda::Function")
        letters = set()
        sources = stack.of_type("AWS::Lambda::EventSourceMapping")
        self.assertEqual(len(sources), 2)
        for name, source in sources.items():
            self.assertEqual(source["FunctionResponseTypes"], ["ReportBatchItemFailures"], name)
            self.assertGreaterEqual(source["ScalingConfig"]["MaximumConcurrency"], 2, name)
            self.assertTrue(source["BatchSize"] <= 10 or source["MaximumBatchingWindowInSeconds"] >= 1, name)
            queue = queues[source["EventSourceArn"][2:-5]]
            timeout = functions[source["FunctionName"][2:-1]]["Timeout"]
            self.assertGreaterEqual(queue["VisibilityTimeout"], 6 * timeout, name)
            lease = int(stack.parameters["LeaseSeconds"])
            self.assertTrue(timeout < lease < queue["VisibilityTimeout"], name)
            redrive = queue["RedrivePolicy"]
            # Reads for the dashboard use up one receipt.
            self.assertGreaterEqual(redrive["maxReceiveCount"], 2, name)
            # An outage of two days passes by itself.
            self.assertGreaterEqual(redrive["maxReceiveCount"] * queue["VisibilityTimeout"], 2 * DAY, name)
            # Dead letters keep the time that they were first sent at: whatever is set, days are left to redrive them.
            longest = self.template["Parameters"]["MaxReceiveCount"]["MaxValue"] * queue["VisibilityTimeout"]
            dead = queues[redrive["deadLetterTargetArn"][2:-5]]
            for retention in [queue["MessageRetentionPeriod"], dead["MessageRetentionPeriod"]]:
                self.assertGreaterEqual(retention, longest + 4 * DAY, name)
            letters.add(redrive["deadLetterTargetArn"])
        self.assertEqual({queues[letter[2:-5]]["MessageRetentionPeriod"] for letter in letters}, {1209600})
        self.assertEqual(len(letters), 2)
        self.assertTrue(all(queue["SqsManagedSseEnabled"] for queue in queues.values()))

    def test_any_lease_that_is_allowed_fits(self):
        parameter = self.template["Parameters"]["LeaseSeconds"]
        self.assertEqual((parameter["MinValue"], parameter["MaxValue"]), (301, 1799))
        self.assertGreaterEqual(self.template["Parameters"]["MaxReceiveCount"]["MinValue"], 2)

    @for_each_stack
    def test_variables_are_those_of_the_programs(self, stack):
        self.assertGreater(len(VARIABLES), 50)
        functions = stack.of_type("AWS::Lambda::Function")
        set_ = {name for own in functions.values() for name in own["Environment"]["Variables"]}
        self.assertEqual(set_ - VARIABLES, set())
        self.assertEqual(VARIABLES - set_, set(NOT_ON_LAMBDA))
        for name, own in functions.items():
            variables = own["Environment"]["Variables"]
            size = sum(len(key) + len(str(value)) for key, value in variables.items())
            self.assertLess(size, 4096, f"{name}: Lambda takes 4 KB of variables")
            self.assertEqual(variables["LEDGER_URL"], "dynamodb://${LedgerTable}")
            self.assertNotIn(stack.parameters["ClientSecret"] or "-", variables.values())

    @for_each_stack
    def test_functions_run_what_make_package_makes(self, stack):
        functions = stack.of_type("AWS::Lambda::Function")
        self.assertEqual(sorted(functions), FUNCTIONS)
        packages = {name: own["Code"]["S3Key"].split("/")[2] for name, own in functions.items()}
        self.assertEqual(
            packages,
            {
                "CloudTrailFunction": "lambda-cloudtrail",
                "ReceiverFunction": "lambda-minio-http",
                "DelivererFunction": "lambda-minio-http",
            },
        )
        for name, own in functions.items():
            self.assertEqual((own["Runtime"], own["Handler"]), ("provided.al2023", "bootstrap"))
            self.assertEqual(own["Architectures"], [stack.parameters["Architecture"]])
            group = own["LoggingConfig"]["LogGroup"][2:-1]
            self.assertGreaterEqual(int(stack.resources[group]["Properties"]["RetentionInDays"]), 1)
            role = stack.resources[own["Role"][2:-5]]["Properties"]
            (logs,) = [own for own in role["Policies"][0]["PolicyDocument"]["Statement"] if own["Sid"] == "Logs"]
            self.assertEqual(logs["Resource"], "${" + group + ".Arn}", name)

    @for_each_stack
    def test_concurrency_is_limited_as_the_parameters_say(self, stack):
        limit = stack.parameters["ReceiverConcurrency"]
        receiver = stack.resources["ReceiverFunction"]["Properties"]
        self.assertEqual(receiver.get("ReservedConcurrentExecutions"), limit or None)
        sources = stack.of_type("AWS::Lambda::EventSourceMapping").values()
        limits = [own["ScalingConfig"]["MaximumConcurrency"] for own in sources]
        self.assertEqual(limits, [stack.parameters["LogConcurrency"], stack.parameters["DeliveryConcurrency"]])

    @for_each_stack
    def test_the_public_url_has_both_permissions(self, stack):
        (url,) = stack.of_type("AWS::Lambda::Url").values()
        self.assertEqual((url["TargetFunctionArn"], url["AuthType"]), ("${ReceiverFunction}", "NONE"))
        permissions = stack.of_type("AWS::Lambda::Permission").values()
        self.assertEqual({own["FunctionName"] for own in permissions}, {"${ReceiverFunction}"})
        by_action = {own["Action"]: own for own in permissions}
        self.assertEqual(sorted(by_action), ["lambda:InvokeFunction", "lambda:InvokeFunctionUrl"])
        self.assertEqual(by_action["lambda:InvokeFunctionUrl"]["FunctionUrlAuthType"], "NONE")
        self.assertIs(by_action["lambda:InvokeFunction"]["InvokedViaFunctionUrl"], True)

    @for_each_stack
    def test_stores_are_private_encrypted_and_kept(self, stack):
        for name, bucket in stack.of_type("AWS::S3::Bucket").items():
            self.assertEqual(set(bucket["PublicAccessBlockConfiguration"].values()), {True}, name)
            (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
            self.assertIn(rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"], ["AES256", "aws:kms"], name)
            policies = stack.of_type("AWS::S3::BucketPolicy").values()
            (policy,) = [own for own in policies if own["Bucket"] == "${" + name + "}"]
            sids = [own["Sid"] for own in policy["PolicyDocument"]["Statement"]]
            self.assertIn("TlsOnly", sids, name)
            # A bucket that is kept stays as private, and open to its trail.
            for kept in [name, name + "Policy"]:
                own = stack.resources[kept]
                self.assertEqual((own["DeletionPolicy"], own["UpdateReplacePolicy"]), ("Retain", "Retain"), kept)
        expiring = stack.resources["QuarantineBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
        self.assertEqual([rule["Prefix"] for rule in expiring if "ExpirationInDays" in rule], ["quarantine/"])
        table = stack.resources["LedgerTable"]
        own = table["Properties"]
        self.assertEqual((table["DeletionPolicy"], own["BillingMode"]), ("Retain", "PAY_PER_REQUEST"))
        self.assertTrue(own["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"])
        self.assertTrue(own["SSESpecification"]["SSEEnabled"])
        item = (render.ROOT / "audit-core/src/ledger/dynamodb/item.rs").read_text()
        names = [own["TimeToLiveSpecification"]["AttributeName"], own["KeySchema"][0]["AttributeName"]]
        self.assertTrue(all(f'"{name}"' in item for name in names), names)

    @for_each_stack
    def test_queues_are_encrypted_and_take_tls_alone(self, stack):
        policies = stack.of_type("AWS::SQS::QueuePolicy").values()
        for name, queue in stack.of_type("AWS::SQS::Queue").items():
            self.assertTrue(queue["SqsManagedSseEnabled"], name)
            (policy,) = [own for own in policies if own["Queues"] == ["${" + name + "}"]]
            sids = [own["Sid"] for own in policy["PolicyDocument"]["Statement"]]
            self.assertIn("TlsOnly", sids, name)

    def test_new_files_reach_the_queue_by_one_way(self):
        ways = {}
        for name, stack in self.stacks.items():
            bucket = stack.resources.get("LogBucket", {}).get("Properties", {})
            policy = stack.resources["LogQueuePolicy"]["Properties"]["PolicyDocument"]["Statement"]
            senders = [own["Principal"]["Service"] for own in policy if own["Effect"] == "Allow"]
            ways[name] = ("NotificationConfiguration" in bucket, "LogFileRule" in stack.resources, senders)
        s3, events = ["s3.amazonaws.com"], ["events.amazonaws.com"]
        self.assertEqual(ways["an existing bucket"], (False, True, events))
        self.assertEqual(ways["an existing bucket that notifies"], (False, False, s3))
        self.assertEqual(ways["everything, own keys"], (True, False, s3))
        stack = self.stacks["an existing bucket"]
        rule = stack.resources["LogFileRule"]["Properties"]
        self.assertEqual(rule["EventPattern"]["detail"]["object"], {"key": [{"wildcard": "AWSLogs/*.json.gz"}]})
        # What the queue does not take is kept with its other dead letters.
        (target,) = rule["Targets"]
        letters = stack.resources["LogQueue"]["Properties"]["RedrivePolicy"]["deadLetterTargetArn"]
        self.assertEqual((target["Arn"], target["DeadLetterConfig"]), ("${LogQueue.Arn}", {"Arn": letters}))
        for arn in [target["Arn"], letters]:
            (policy,) = [
                own["PolicyDocument"]["Statement"]
                for own in stack.of_type("AWS::SQS::QueuePolicy").values()
                if own["Queues"] == [arn.replace(".Arn", "")]
            ]
            (sends,) = [own for own in policy if own["Effect"] == "Allow"]
            self.assertEqual((sends["Action"], sends["Resource"]), ("sqs:SendMessage", arn))
            self.assertEqual(sends["Condition"], {"ArnEquals": {"aws:SourceArn": "${LogFileRule.Arn}"}})

    def test_the_trail_records_downloads_alone_and_never_its_own_bucket(self):
        stack = self.stacks["everything, own keys"]
        (trail,) = stack.of_type("AWS::CloudTrail::Trail").values()
        self.assertNotIn("EventSelectors", trail)
        (selector,) = trail["AdvancedEventSelectors"]
        fields = {own.pop("Field"): own for own in selector["FieldSelectors"]}
        arns = fields.pop("resources.ARN")
        self.assertEqual(
            {name: own["Equals"] for name, own in fields.items()},
            {
                "eventCategory": ["Data"],
                "resources.type": ["AWS::S3::Object"],
                "eventName": ["GetObject"],
                "readOnly": ["true"],
            },
        )
        self.assertEqual(arns["StartsWith"], ["arn:aws:s3:::scenes/", "arn:aws:s3:::maps/public/"])
        self.assertEqual(arns["NotStartsWith"], [f"arn:aws:s3:::{stack.parameters['LogBucketName']}/"])
        self.assertNotIn("Trail", self.stacks["an existing bucket"].resources)
