import json
import pathlib
import unittest

import app

EVENT = pathlib.Path(__file__).with_name("event.json")


class Greeting(unittest.TestCase):
    def setUp(self):
        self.event = json.loads(EVENT.read_text())

    def call(self):
        reply = app.handler(self.event, None)
        return reply["statusCode"], json.loads(reply["body"])

    def test_greets_by_the_name_in_the_query(self):
        self.assertEqual(self.call(), (200, {"message": "Hello world"}))

    def test_needs_no_query(self):
        del self.event["queryStringParameters"]
        self.assertEqual(self.call(), (200, {"message": "Hello world"}))

    def test_other_paths_are_not_found(self):
        self.event["rawPath"] = "/other"
        self.assertEqual(self.call()[0], 404)


if __name__ == "__main__":
    unittest.main()
