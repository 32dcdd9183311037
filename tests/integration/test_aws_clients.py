"""The real AWS clients against the daemon: boto3 and the aws command."""
import base64
import io
import json
import shutil
import subprocess
import unittest
import zipfile

from harness import PATIENCE, DaemonTest

try:
    import boto3
    import botocore.config
    import botocore.exceptions
except ImportError:
    boto3 = None

CODE = "import os\ndef handler(event, context):\n    print('called')\n    return {'echo': event, 'mine': os.environ.get('MINE')}\n"
ROLE = "arn:aws:iam::000000000000:role/any"


def archive(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name)  # without a time: the same bytes at any second
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o100644 << 16
            zipped.writestr(entry, text)
    return out.getvalue()


@unittest.skipIf(boto3 is None, "python3-boto3 is not installed: tests/install_packages test")
class Boto3(DaemonTest):
    @property
    def client(self):
        return boto3.client("lambda", endpoint_url=self.daemon.url, region_name="us-east-1", aws_access_key_id="any",
                            aws_secret_access_key="any",
                            config=botocore.config.Config(retries={"max_attempts": 0}, read_timeout=60, proxies={}))

    def create(self, name, **more):
        return self.client.create_function(**{"FunctionName": name, "Runtime": "python3.11", "Role": ROLE, "Handler": "app.handler",
                                              "Code": {"ZipFile": archive({"app.py": CODE})}, **more})

    def assert_fails(self, code, status, call, **arguments):
        with self.assertRaises(botocore.exceptions.ClientError) as caught:
            call(**arguments)
        response = caught.exception.response
        self.assertEqual((response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]), (code, status), response)
        self.assertTrue(response["Error"]["Message"], response)

    def test_a_functions_whole_life(self):
        client = self.client
        made = self.create("life", Timeout=9, MemorySize=160, Description="words", Environment={"Variables": {"MINE": "v1"}})
        self.assertEqual((made["FunctionName"], made["Timeout"], made["MemorySize"], made["Description"]), ("life", 9, 160, "words"))
        self.assertEqual(made["ResponseMetadata"]["HTTPStatusCode"], 201)
        self.assertIn(made["State"], ("Pending", "Active"))
        self.assertRegex(made["LastModified"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000$")
        self.assertEqual(base64.b64encode(__import__("hashlib").sha256(archive({"app.py": CODE})).digest()).decode(), made["CodeSha256"])
        client.get_waiter("function_active_v2").wait(FunctionName="life", WaiterConfig={"Delay": 1, "MaxAttempts": 20})
        client.get_waiter("function_exists").wait(FunctionName="life")

        got = client.get_function(FunctionName="life")
        self.assertEqual(got["Configuration"]["State"], "Active")
        self.assertTrue(got["Code"], "Terraform needs Code")
        self.assertEqual(client.get_function_configuration(FunctionName="life")["Handler"], "app.handler")
        self.assertIn("life", [f["FunctionName"] for f in client.list_functions()["Functions"]])

        reply = client.invoke(FunctionName="life", Payload=b'{"n": 1}', LogType="Tail")
        self.assertEqual((reply["StatusCode"], json.load(reply["Payload"])), (200, {"echo": {"n": 1}, "mine": "v1"}))
        self.assertEqual(reply["ExecutedVersion"], "$LATEST")
        self.assertIn("called", base64.b64decode(reply["LogResult"]).decode())

        client.update_function_configuration(FunctionName="life", Environment={"Variables": {"MINE": "v2"}}, Timeout=4)
        client.get_waiter("function_updated_v2").wait(FunctionName="life", WaiterConfig={"Delay": 1, "MaxAttempts": 20})
        self.assertEqual(json.load(client.invoke(FunctionName="life")["Payload"])["mine"], "v2")
        self.assertEqual(client.get_function_configuration(FunctionName="life")["MemorySize"], 160, "what is not named stays")

        client.update_function_code(FunctionName="life", ZipFile=archive({"app.py": CODE.replace("'echo'", "'new'")}))
        client.get_waiter("function_updated").wait(FunctionName="life", WaiterConfig={"Delay": 1, "MaxAttempts": 20})
        self.assertIn("new", json.load(client.invoke(FunctionName="life", Payload=b"1")["Payload"]))

        client.delete_function(FunctionName="life")
        self.assert_fails("ResourceNotFoundException", 404, client.get_function, FunctionName="life")

    def test_invocation_types_and_errors(self):
        client = self.client
        self.create("errors", Code={"ZipFile": archive({"app.py": "def handler(e, c):\n    raise KeyError('k')\n"})})
        reply = client.invoke(FunctionName="errors")
        self.assertEqual(reply["FunctionError"], "Unhandled")
        self.assertEqual(json.load(reply["Payload"])["errorType"], "KeyError")
        self.assertEqual(client.invoke(FunctionName="errors", InvocationType="DryRun")["StatusCode"], 204)
        self.assert_fails("ResourceNotFoundException", 404, client.invoke, FunctionName="absent")
        with self.assertRaises(botocore.exceptions.ClientError) as caught:
            client.invoke(FunctionName="errors", InvocationType="Event")
        self.assertEqual(caught.exception.response["ResponseMetadata"]["HTTPStatusCode"], 501)

    def test_refusals(self):
        client = self.client
        self.create("taken")
        self.assert_fails("ResourceConflictException", 409, self.create, name="taken")
        self.assert_fails("ResourceNotFoundException", 404, client.delete_function, FunctionName="absent")
        self.assert_fails("ResourceNotFoundException", 404, client.update_function_code, FunctionName="absent", ZipFile=archive({"a": "b"}))
        for arguments in ({"Timeout": 901}, {"Handler": "nodot"}, {"Runtime": "java21"}, {"Environment": {"Variables": {"A": "x" * 5000}}}):
            with self.subTest(arguments=str(arguments)[:60]), self.assertRaises(botocore.exceptions.ClientError) as caught:
                self.create("refused", **arguments)
            self.assertEqual(caught.exception.response["ResponseMetadata"]["HTTPStatusCode"], 400)
        self.assert_fails("ResourceNotFoundException", 404, client.get_function, FunctionName="refused")

    def test_an_old_revision_id_is_refused(self):
        made = self.create("revised")
        client = self.client
        client.update_function_configuration(FunctionName="revised", Timeout=5)
        self.assert_fails("PreconditionFailedException", 412, client.update_function_code, FunctionName="revised",
                          ZipFile=archive({"app.py": CODE}), RevisionId=made["RevisionId"])

    def test_hostile_archives_are_refused(self):
        cases = {"parent": {"../evil.py": "x"}, "absolute": {"/tmp/evil.py": "x"}, "deep": {"a/../../evil.py": "x"}}
        for name, files in cases.items():
            with self.subTest(name=name), self.assertRaises(botocore.exceptions.ClientError) as caught:
                self.create("hostile", Code={"ZipFile": archive({"app.py": CODE, **files})})
            self.assertEqual(caught.exception.response["ResponseMetadata"]["HTTPStatusCode"], 400)
        with self.assertRaises(botocore.exceptions.ClientError):
            self.create("hostile", Code={"ZipFile": b"PK not a zip"})
        bomb = archive({"app.py": CODE, "zeros": b"\0" * (300 << 20)})
        with self.assertRaises(botocore.exceptions.ClientError):
            self.create("hostile", Code={"ZipFile": bomb})
        self.assertNotIn("hostile", [f["FunctionName"] for f in self.client.list_functions()["Functions"]])

    def test_a_symbolic_link_does_not_lead_out(self):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as zipped:
            zipped.writestr("app.py", "def handler(e, c):\n    return open('/var/task/link').read()\n")
            link = zipfile.ZipInfo("link")
            link.create_system, link.external_attr = 3, 0o120777 << 16
            zipped.writestr(link, "/etc/hostname")
        try:
            self.create("linked", Code={"ZipFile": out.getvalue()})
        except botocore.exceptions.ClientError as error:
            self.assertEqual(error.response["ResponseMetadata"]["HTTPStatusCode"], 400)
        else:
            self.assertTrue(self.client.invoke(FunctionName="linked").get("FunctionError"))

    def test_listing_goes_page_by_page(self):
        names = [f"page-{n}" for n in range(7)]
        for name in names:
            self.create(name)
        pages = self.client.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 3})
        listed = [f["FunctionName"] for page in pages for f in page["Functions"]]
        self.assertEqual([name for name in listed if name.startswith("page-")], sorted(names))
        self.assertEqual(len(listed), len(set(listed)))

    def test_an_upload_of_many_megabytes(self):
        noise = __import__("random").Random(1).randbytes(30 << 20)
        self.create("large", Code={"ZipFile": archive({"app.py": CODE, "noise.bin": noise})}, Timeout=10)
        self.assertEqual(json.load(self.client.invoke(FunctionName="large", Payload=b"1")["Payload"])["echo"], 1)


class AwsCommand(DaemonTest):
    def aws(self, *arguments, check=True):
        environment = {**self.daemon.environment(), "AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_PAGER": "",
                       "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1"}
        done = subprocess.run(["aws", "lambda", "--endpoint-url", self.daemon.url, "--region", "us-east-1", "--output", "json", *arguments],
                              capture_output=True, text=True, env=environment, timeout=120 * PATIENCE, check=False)
        if check and done.returncode != 0:
            raise AssertionError(f"aws {arguments}: {done.stderr}")
        return json.loads(done.stdout) if done.stdout.strip() and check else done

    def test_create_wait_invoke_update_delete(self):
        if shutil.which("aws") is None:
            self.skipTest("awscli is not installed: tests/install_packages test")
        package = self.daemon.work / "code.zip"
        package.write_bytes(archive({"app.py": CODE}))
        made = self.aws("create-function", "--function-name", "cli", "--runtime", "python3.11", "--role", ROLE, "--handler", "app.handler",
                        "--zip-file", f"fileb://{package}", "--timeout", "5")
        self.assertEqual(made["FunctionName"], "cli")
        self.aws("wait", "function-active-v2", "--function-name", "cli", check=False)
        out = self.daemon.work / "out.json"
        facts = self.aws("invoke", "--function-name", "cli", "--cli-binary-format", "raw-in-base64-out", "--payload", '{"x": "y"}', str(out))
        self.assertEqual((facts["StatusCode"], facts["ExecutedVersion"]), (200, "$LATEST"))
        self.assertEqual(json.loads(out.read_text())["echo"], {"x": "y"})
        arn = made["FunctionArn"]
        self.assertEqual(self.aws("get-function", "--function-name", arn)["Configuration"]["FunctionName"], "cli")
        self.aws("update-function-configuration", "--function-name", "cli", "--timeout", "6")
        self.assertEqual([f["Timeout"] for f in self.aws("list-functions")["Functions"]], [6])
        self.aws("delete-function", "--function-name", "cli")
        done = self.aws("get-function", "--function-name", "cli", check=False)
        self.assertIn("ResourceNotFoundException", done.stderr)


if __name__ == "__main__":
    unittest.main()
