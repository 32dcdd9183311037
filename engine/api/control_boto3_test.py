"""The control plane as real AWS clients see it: boto3 (Debian's) against the program control_server.

Usage: control_boto3_test.py PATH_OF_CONTROL_SERVER
"""

import base64
import io
import json
import subprocess
import sys
import tempfile
import unittest
import urllib.error
import urllib.parse
import urllib.request
import zipfile

import boto3
import botocore.config
import botocore.exceptions

PROGRAM = sys.argv.pop(1)


def archive(files, mode=0o644):
    """A zip with these files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (0o100000 | mode) << 16
            packed.writestr(entry, text)
    return out.getvalue()


APP = archive({"app.py": "def handler(event, context):\n    return event\n"})


class Control(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.start()

    @classmethod
    def start(cls):
        cls.process = subprocess.Popen([PROGRAM, cls.folder.name + "/state"], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, text=True)
        cls.url = cls.process.stdout.readline().strip()
        cls.client = boto3.client(
            "lambda", endpoint_url=cls.url, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x",
            config=botocore.config.Config(retries={"max_attempts": 1}, read_timeout=20, proxies={}))

    @classmethod
    def stop(cls):
        cls.process.stdin.close()
        cls.process.wait(20)
        cls.process.stdout.close()

    @classmethod
    def tearDownClass(cls):
        cls.stop()
        cls.folder.cleanup()

    def create(self, name, **more):
        arguments = dict(FunctionName=name, Runtime="python3.12", Role="arn:aws:iam::000000000000:role/r", Handler="app.handler",
                         Code={"ZipFile": APP}, Timeout=5, MemorySize=256, Environment={"Variables": {"GREETING": "hé"}})
        arguments.update(more)
        return self.client.create_function(**arguments)

    def get(self, path, raw=False):
        with urllib.request.urlopen(self.url + path, timeout=20) as reply:
            body = reply.read()
            return body if raw else json.loads(body)

    def refused(self, code, call, *args, **kwargs):
        with self.assertRaises(botocore.exceptions.ClientError) as caught:
            call(*args, **kwargs)
        self.assertEqual(caught.exception.response["Error"]["Code"], code)
        return caught.exception.response["Error"]["Message"]

    def test_life_of_a_function(self):
        made = self.create("life")
        self.assertEqual(made["ResponseMetadata"]["HTTPStatusCode"], 201)
        self.assertEqual((made["Runtime"], made["Timeout"], made["MemorySize"], made["State"], made["Version"]),
                         ("python3.12", 5, 256, "Active", "$LATEST"))
        self.assertEqual(made["Environment"]["Variables"], {"GREETING": "hé"})
        self.client.get_waiter("function_active_v2").wait(FunctionName="life")
        got = self.client.get_function(FunctionName=made["FunctionArn"])
        self.assertEqual(got["Configuration"]["RevisionId"], made["RevisionId"])
        with urllib.request.urlopen(got["Code"]["Location"], timeout=20) as reply:
            self.assertEqual(reply.read(), APP)

        changed = self.client.update_function_configuration(FunctionName="life", Timeout=9, Description="d")
        self.assertEqual((changed["Timeout"], changed["Description"], changed["MemorySize"]), (9, "d", 256))
        self.assertNotEqual(changed["RevisionId"], made["RevisionId"])
        self.refused("PreconditionFailedException", self.client.update_function_code, FunctionName="life", ZipFile=APP,
                     RevisionId=made["RevisionId"])
        code = archive({"app.py": "def handler(e, c):\n    return 2\n"})
        updated = self.client.update_function_code(FunctionName="life", ZipFile=code, RevisionId=changed["RevisionId"])
        self.assertEqual(updated["CodeSize"], len(code))
        self.assertNotEqual(updated["CodeSha256"], made["CodeSha256"])
        self.client.get_waiter("function_updated_v2").wait(FunctionName="life")
        self.assertEqual(len(self.client.list_versions_by_function(FunctionName="life")["Versions"]), 1)
        gone = self.client.delete_function(FunctionName="life")
        self.assertEqual(gone["ResponseMetadata"]["HTTPStatusCode"], 204)
        self.refused("ResourceNotFoundException", self.client.get_function, FunctionName="life")

    def test_errors_have_names_that_clients_know(self):
        self.create("errors")
        self.refused("ResourceConflictException", self.create, "errors")
        self.refused("InvalidParameterValueException", self.create, "e2", Runtime="ruby3.2")
        self.assertIn("app.py", self.refused("InvalidParameterValueException", self.create, "e2",
                                             Code={"ZipFile": archive({"main.py": ""})}))
        self.refused("InvalidZipFileException", self.create, "e2", Code={"ZipFile": b"no zip"})
        self.assertIn("ZipFile", self.refused("NotImplementedException", self.create, "e2", Code={"S3Bucket": "bucket", "S3Key": "k"}))
        self.refused("NotImplementedException", self.client.publish_version, FunctionName="errors")
        self.refused("NotImplementedException", self.client.get_account_settings)
        self.refused("ResourceNotFoundException", self.client.get_function, FunctionName="errors", Qualifier="7")
        self.client.get_function(FunctionName="errors", Qualifier="$LATEST")
        self.client.get_function(FunctionName="errors:$LATEST")

    def test_list_has_pages(self):
        for i in range(5):
            self.create(f"page{i}")
        names = [f["FunctionName"] for page in self.client.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 2})
                 for f in page["Functions"]]
        self.assertEqual([n for n in names if n.startswith("page")], [f"page{i}" for i in range(5)])
        ours = self.get("/hearth/v1/functions")["functions"]
        self.assertEqual([f["name"] for f in ours], names)
        self.assertEqual(ours[0]["live"], {"workers": 0})

    def test_a_large_archive_arrives_whole(self):
        import random
        noise = random.Random(1).randbytes(20 << 20)
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as packed:
            packed.writestr("app.py", "def handler(e, c): pass\n")
            packed.writestr("noise.bin", noise)
        made = self.create("large", Code={"ZipFile": out.getvalue()})
        self.assertEqual(made["CodeSize"], len(out.getvalue()))
        self.assertEqual(self.get("/hearth/v1/functions/large/code", raw=True), out.getvalue())
        self.client.delete_function(FunctionName="large")

    def test_the_hearth_object_goes_both_ways(self):
        body = {"FunctionName": "ours", "Runtime": "nodejs", "Handler": "index.handler",
                "Code": {"ZipFile": base64.b64encode(archive({"index.mjs": ""})).decode()},
                "Hearth": {"TimeoutMs": 1500, "Concurrency": {"PerWorker": 4, "WorkersMax": 2}, "Network": "none"}}
        request = urllib.request.Request(self.url + "/2015-03-31/functions/", json.dumps(body).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=20) as reply:
            made = json.load(reply)
        self.assertEqual((made["Timeout"], made["Hearth"]["TimeoutMs"]), (2, 1500))
        self.assertEqual(made["Hearth"]["Concurrency"], {"PerWorker": 4, "WorkersMin": 0, "WorkersMax": 2, "Queue": 0})
        self.assertEqual(self.get("/hearth/v1/functions/ours")["concurrency"]["per_worker"], 4)
        self.assertEqual(self.get("/hearth/v1/functions/ours/logs"), {"lines": [], "cursor": "", "lost": False})

    def test_z_a_restart_keeps_everything(self):
        self.create("kept")
        before = self.client.get_function_configuration(FunctionName="kept")
        self.stop()
        self.start()
        after = self.client.get_function_configuration(FunctionName="kept")
        for answer in (before, after):
            del answer["ResponseMetadata"]
        self.assertEqual(before, after)


if __name__ == "__main__":
    unittest.main(verbosity=1)
