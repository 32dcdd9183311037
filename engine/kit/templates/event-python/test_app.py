import json
import pathlib
import unittest

import app

EVENT = pathlib.Path(__file__).with_name("event.json")


class Order(unittest.TestCase):
    def setUp(self):
        self.event = json.loads(EVENT.read_text())

    def test_an_order_is_accepted(self):
        self.assertEqual(app.handler(self.event, None), {"order": "A-17", "accepted": True})

    def test_an_event_without_an_order_is_an_error(self):
        del self.event["data"]["order"]
        with self.assertRaises(ValueError):
            app.handler(self.event, None)


if __name__ == "__main__":
    unittest.main()
