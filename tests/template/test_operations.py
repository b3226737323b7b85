"""Alarms, dashboard, outputs and parameters of template.yaml."""

import json
import re

import tomlkit

import render
from cases import CASES, METERING
from stacks import FUNCTIONS, METRICS, Stacks, for_each_stack, metrics_shown

AWS_METRICS = {
    "AWS/Lambda": {"Invocations", "Errors", "Throttles", "Duration", "Url4xxCount", "Url5xxCount"},
    "AWS/SQS": {"ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"},
    "S3Audit": METRICS,
}
DIMENSIONS = {"AWS/Lambda": "FunctionName", "AWS/SQS": "QueueName", "S3Audit": "function"}
ALARMS = {
    "LogDeadLetterAlarm",
    "EntryDeadLetterAlarm",
    "LogAgeAlarm",
    "EntryAgeAlarm",
    "LogRetryAlarm",
    "EntryRetryAlarm",
    "NoLogsAlarm",
    "QuarantineAlarm",
    "HeldAlarm",
    "UpstreamAlarm",
    "ErrorAlarm",
    "ThrottleAlarm",
    "ReceiverAlarm",
}
MINUTE = 60
DAY = 24 * 60 * MINUTE


class Operations(Stacks):
    def is_metric_of(self, stack, namespace, name, dimension, value):
        """The metric is one that AWS or the functions write, of a resource of the stack."""
        self.assertIn(name, AWS_METRICS[namespace])
        self.assertEqual(dimension, DIMENSIONS[namespace], name)
        kind = "AWS::SQS::Queue" if namespace == "AWS/SQS" else "AWS::Lambda::Function"
        resource = re.fullmatch(r"\$\{([A-Za-z]+)(\.QueueName)?\}", value)
        self.assertIsNotNone(resource, value)
        self.assertIn(resource.group(1), stack.of_type(kind))

    def alarms_of(self, stack):
        return ALARMS - {"NoLogsAlarm"} if str(stack.parameters["QuietHours"]) == "0" else ALARMS

    def test_the_code_names_its_metrics_where_this_looks(self):
        self.assertLessEqual({"records", "held", "upstream_seconds", "oldest_seconds", "objects_read"}, METRICS)

    @for_each_stack
    def test_alarms_look_at_metrics_that_exist(self, stack):
        alarms = stack.of_type("AWS::CloudWatch::Alarm")
        self.assertEqual(set(alarms), self.alarms_of(stack))
        for name, alarm in alarms.items():
            self.assertIn(alarm["TreatMissingData"], ["notBreaching", "breaching"], name)
            self.assertEqual(alarm["TreatMissingData"] == "breaching", name == "NoLogsAlarm", name)
            if "Metrics" not in alarm:
                (dimension,) = alarm["Dimensions"]
                own = (alarm["Namespace"], alarm["MetricName"], dimension["Name"], dimension["Value"])
                self.is_metric_of(stack, *own)
                continue
            ids = {own["Id"] for own in alarm["Metrics"]}
            (told,) = [own for own in alarm["Metrics"] if own.get("ReturnData", True)]
            self.assertEqual(set(re.findall(r"\b[a-z]\d\b", told["Expression"])) | {told["Id"]}, ids, name)
            for own in alarm["Metrics"]:
                if "MetricStat" in own:
                    metric = own["MetricStat"]["Metric"]
                    (dimension,) = metric["Dimensions"]
                    parts = (metric["Namespace"], metric["MetricName"], dimension["Name"], dimension["Value"])
                    self.is_metric_of(stack, *parts)

    @for_each_stack
    def test_what_fails_again_and_again_rings_and_goes_on_ringing(self, stack):
        alarms = stack.of_type("AWS::CloudWatch::Alarm")
        functions = stack.of_type("AWS::Lambda::Function")
        sources = stack.of_type("AWS::Lambda::EventSourceMapping").values()
        for kind, function in [("Log", "CloudTrailFunction"), ("Entry", "DelivererFunction")]:
            (queue,) = [own["EventSourceArn"][2:-5] for own in sources if own["FunctionName"] == "${" + function + "}"]
            # Not SQS's own age, which leaves out what was received three times.
            alarm = alarms[f"{kind}RetryAlarm"]
            self.assertEqual((alarm["Namespace"], alarm["MetricName"]), ("S3Audit", "oldest_seconds"))
            self.assertEqual(alarm["Dimensions"], [{"Name": "function", "Value": "${" + function + "}"}])
            # However young the other messages of the period are, and with a try of this one in each.
            self.assertEqual((alarm["Statistic"], alarm["EvaluationPeriods"]), ("Maximum", 1))
            apart = stack.resources[queue]["Properties"]["VisibilityTimeout"] + functions[function]["Timeout"]
            self.assertGreaterEqual(alarm["Period"], apart + 20 * MINUTE, "polls, and other messages that come first")
            # Without a run nothing fails, and the alarm is over.
            self.assertEqual(alarm["TreatMissingData"], "notBreaching")
            # SQS's own tells what nobody takes up: then no run tells anything.
            idle = alarms[f"{kind}AgeAlarm"]
            self.assertEqual((idle["Namespace"], idle["MetricName"]), ("AWS/SQS", "ApproximateAgeOfOldestMessage"))
            self.assertEqual(idle["Dimensions"], [{"Name": "QueueName", "Value": "${" + queue + ".QueueName}"}])
            for own in [alarm, idle]:
                self.assertEqual(own["ComparisonOperator"], "GreaterThanThreshold")
                self.assertEqual(own["Threshold"], stack.parameters["OldestMessageSeconds"])

    @for_each_stack
    def test_alarms_reach_the_topic_if_there_is_one(self, stack):
        topic = {
            "an existing bucket": None,
            "an existing bucket that notifies": [stack.parameters["AlarmTopicArn"]],
            "everything, own keys": ["${AlarmTopic}"],
        }
        expected = topic[next(name for name, own in self.stacks.items() if own is stack)]
        for name, alarm in stack.of_type("AWS::CloudWatch::Alarm").items():
            self.assertEqual((alarm.get("AlarmActions"), alarm.get("OKActions")), (expected, expected), name)
        self.assertEqual("AlarmTopicArn" in stack.outputs, expected is not None)

    @for_each_stack
    def test_each_queue_and_function_is_watched(self, stack):
        text = json.dumps(stack.of_type("AWS::CloudWatch::Alarm"))
        for name in list(stack.of_type("AWS::SQS::Queue")) + FUNCTIONS:
            self.assertRegex(text, r"\$\{" + name + r"(\.QueueName)?\}")

    @for_each_stack
    def test_the_dashboard_shows_metrics_that_exist(self, stack):
        (dashboard,) = stack.of_type("AWS::CloudWatch::Dashboard").values()
        widgets = json.loads(dashboard["DashboardBody"])["widgets"]
        places = [(own["x"], own["y"]) for own in widgets]
        self.assertEqual(len(places), len(set(places)))
        together = []
        for widget in widgets:
            self.assertLessEqual(widget["x"] + widget["width"], 24)
            own = widget["properties"]
            if widget["type"] == "alarm":
                self.assertEqual(sorted(alarm[2:-5] for alarm in own["alarms"]), sorted(self.alarms_of(stack)))
                continue
            self.assertEqual(own["region"], render.PSEUDO["AWS::Region"])
            for metric in own["metrics"]:
                if isinstance(metric[0], dict):
                    # In quotes, since a value without them finds every function whose name has these words in it.
                    search = r"^SEARCH\('\{S3Audit,function,reason\} function=\"\$\{(\w+)\}\"', 'Sum', 300\)$"
                    self.assertRegex(metric[0]["expression"], search)
                    self.assertIn(re.match(search, metric[0]["expression"]).group(1), FUNCTIONS)
            for parts in metrics_shown(widget):
                self.is_metric_of(stack, *parts)
            together.append({name for _, name, _, _ in metrics_shown(widget)})
        self.assertEqual(METRICS - set().union(*together), set(), "metrics that nobody sees")
        # What is taken up and fails is missing in SQS's age.
        self.assertIn({"ApproximateAgeOfOldestMessage", "oldest_seconds"}, together)

    @for_each_stack
    def test_outputs_say_where_to_go(self, stack):
        values = {name: own["Value"] for name, own in stack.outputs.items()}
        self.assertEqual(values["WebhookUrl"], "${ReceiverFunctionUrl.FunctionUrl}auditlogs/processor")
        self.assertTrue(values["DashboardUrl"].endswith("#dashboards/dashboard/${Dashboard}"))
        urls = {name for name in values if name.endswith("QueueUrl")}
        self.assertEqual(urls, {"LogQueueUrl", "LogDeadLetterQueueUrl", "EntryQueueUrl", "EntryDeadLetterQueueUrl"})
        self.assertEqual(values["LedgerTtl"], stack.parameters["LedgerTtl"])
        token = stack.parameters["WebhookAuthTokenArn"] or "${WebhookToken}"
        self.assertEqual(values["WebhookTokenArn"], token)
        variables = stack.resources["ReceiverFunction"]["Properties"]["Environment"]["Variables"]
        self.assertEqual(variables["WEBHOOK_AUTH_TOKEN_ARN"], token)


class Parameters(Stacks):
    def test_each_parameter_is_described_grouped_checked_and_used(self):
        template = render.source()
        groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
        grouped = [name for group in groups for name in group["Parameters"]]
        self.assertEqual(sorted(grouped), sorted(template["Parameters"]))
        text = json.dumps([template[part] for part in ["Conditions", "Globals", "Resources"]])
        free = set()
        for name, own in template["Parameters"].items():
            self.assertTrue(own["Description"].rstrip().endswith("."), name)
            self.assertRegex(text, r'"Ref": "' + name + r'"|\$\{' + name + r"\}", name)
            if not {"AllowedPattern", "AllowedValues", "MinValue"} & set(own):
                free.add(name)
            elif own["Type"] == "String" and "AllowedPattern" in own and "Default" in own:
                self.assertRegex(own["Default"], own["AllowedPattern"], name)
        # Ids, globs and templates of any form; the functions check them at their start.
        self.assertEqual(
            free,
            {"ClientId", "ClientSecret", "AuthItemId", "PlausibleInclude", "PlausibleExclude", "PathTemplate"},
        )

    def test_patterns_take_what_is_right_and_nothing_else(self):
        arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:a-b"
        examples = {
            "LogBucketName": (["logs", "my.logs-1"], ["Logs", "a", "logs/", ""]),
            "LogKeyPrefix": (["", "AWSLogs/", "org/AWSLogs/o-1/"], ["a*", "a?", "a\\", "${a}"]),
            "LogKmsKeyArn": (["", "arn:aws:kms:eu-central-1:123456789012:key/a-1"], ["alias/a", "a"]),
            "TrailDataArns": (
                ["", "arn:aws:s3:::scenes/", "arn:aws-cn:s3:::a.b/public/"],
                ["scenes", "arn:aws:s3:::scenes", "arn:aws:s3:::*", "arn:aws:s3:::scenes/*", "arn:aws:s3:::"],
            ),
            "ProcessApiUrl": (["", "https://rs.example/processes/1/execution"], ["rs.example", "https://a b"]),
            "ClientSecretArn": (["", arn], ["a", arn.replace("secretsmanager", "ssm")]),
            "WebhookAuthTokenArn": (["", arn], ["a"]),
            "AnonymousUserId": (["", "0b1f6c3e-3c45-4b5e-9d5c-2f1f6f0c7a11"], ["0b1f6c3e", "user"]),
            "UserIdParam": (["userId", "x-userId"], ["a b", "a=b", ""]),
            "PlausibleMaxAge": (["1h", "90", "30m"], ["0h", "1w", "h"]),
            "LedgerTtl": (
                ["30d", "90d", "400d", "36500d"],
                ["29d", "9d", "030d", "1h", "720h", "2592000", "90", "90 days", "d", "", "100000d"],
            ),
            "LogFileDays": (["0", "30", "90", "400", "36500"], ["1", "7", "29", "030", "00", "-30", "30d", ""]),
            "AlarmEmail": (["", "a@b.example"], ["a", "a@b@c"]),
            "AlarmTopicArn": (["", "arn:aws:sns:eu-central-1:123456789012:a"], ["a"]),
        }
        for name, (right, wrong) in examples.items():
            pattern = self.template["Parameters"][name]["AllowedPattern"]
            for value in right:
                self.assertRegex(value, pattern, name)
            for value in wrong:
                self.assertNotRegex(value, pattern, name)

    def test_what_may_still_be_tried_is_not_forgotten_and_its_file_is_there(self):
        # All of a message's time, and all of it again after a redrive.
        queues = self.stacks["everything, own keys"].of_type("AWS::SQS::Queue").values()
        longest = 2 * max(own["MessageRetentionPeriod"] for own in queues)
        for name, unit in [("LedgerTtl", "d"), ("LogFileDays", "")]:
            own = self.template["Parameters"][name]
            days = [days for days in range(1, 1000) if re.search(own["AllowedPattern"], f"{days}{unit}")]
            self.assertEqual(days, list(range(30, 1000)), name)
            self.assertGreaterEqual(days[0] * DAY, longest, name)
            self.assertIn("30", own["ConstraintDescription"], name)

    def test_log_files_are_removed_after_the_days_that_are_set_or_never(self):
        for days, removed in [("0", []), ("30", ["30"])]:
            stack = render.Stack(self.template, {**CASES["everything, own keys"], "LogFileDays": days})
            rules = stack.resources["LogBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
            self.assertEqual([own["ExpirationInDays"] for own in rules if "ExpirationInDays" in own], removed)

    def test_rules_ask_for_what_belongs_together(self):
        bucket = {"LogBucketName": "logs"}
        metering = {**bucket, **METERING, "ClientSecret": "a-secret-of-the-test"}
        analytics = {**bucket, "PlausibleApiUrl": "https://plausible.example", "PlausibleDataDomain": "data.example"}
        trail = {**metering, "TrailDataArns": "arn:aws:s3:::scenes/,arn:aws:s3:::maps/"}
        prefix = {"LogKeyPrefix": "org/AWSLogs/"}
        for given in [metering, analytics, {**metering, **analytics}, trail, {**metering, **prefix}]:
            for reading in render.READINGS:
                stack = render.Stack(self.template, given, reading)
                self.assertEqual(stack.refusals, [], (given, reading))
                self.assertEqual("Trail" in stack.resources, given is trail, (given, reading))

        def without(given, name):
            return {own: value for own, value in given.items() if own != name}

        incomplete = [
            *((without(metering, name), name) for name in ["AuthUrl", "ClientId", "ClientSecret", "AuthItemId"]),
            (without(metering, "ClientSecret"), "ClientSecretArn"),
            (without(analytics, "PlausibleDataDomain"), "PlausibleDataDomain"),
            (bucket, "ProcessApiUrl"),
            (bucket, "PlausibleApiUrl"),
            ({**trail, **prefix}, "LogKeyPrefix=AWSLogs/"),
            ({**trail, "LogKeyPrefix": ""}, "LogKeyPrefix=AWSLogs/"),
        ]
        for given, named in incomplete:
            for reading in render.READINGS:
                (refusal,) = render.Stack(self.template, given, reading).refusals
                self.assertIn(named, refusal)

    @for_each_stack
    def test_the_cases_are_such_as_can_be_deployed(self, stack):
        self.assertEqual(stack.refusals, [])

    def test_the_example_settings_can_be_deployed(self):
        settings = tomlkit.parse((render.ROOT / "samconfig.example.toml").read_text())
        sections = {name: own["deploy"]["parameters"] for name, own in settings.items() if name != "version"}
        self.assertEqual(set(sections), {"default", "existing"})
        for name, own in sections.items():
            given = dict(one.split("=", 1) for one in own["parameter_overrides"])
            self.assertEqual(render.Stack(self.template, given).refusals, [], name)

    def test_large_defaults_stay_as_they_are_written(self):
        for name, own in self.template["Parameters"].items():
            if own["Type"] == "Number":
                self.assertRegex(str(own["Default"]), r"^\d+$", name)
                self.assertTrue(isinstance(own["Default"], str) or own["Default"] < 1000000, name)
