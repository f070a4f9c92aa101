"""Tests of the generated client against the server at URL, as the administrator LOGIN with PASSWORD."""

import importlib.resources
import io
import os
import struct
import unittest
import zlib

from roster_client import LoginInput, Roster, SetUserAvatarInput, SignInLogin, UpdateUserInput, Upload
from roster_client.enums import ErrorCode
from roster_client.exceptions import GraphQLClientGraphQLMultiError

URL = os.environ["URL"] + "/graphql"


def png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(8 * (1 + 8 * 3)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def sign_in(password: str) -> SignInLogin:
    with Roster(URL) as visitor:
        return visitor.sign_in(LoginInput(login=os.environ["LOGIN"], password=password)).login


class PackageTest(unittest.TestCase):
    def test_type_checkers_read_the_types_of_the_package(self) -> None:
        self.assertTrue(importlib.resources.files("roster_client").joinpath("py.typed").is_file())


class ClientTest(unittest.TestCase):
    def setUp(self) -> None:
        payload = sign_in(os.environ["PASSWORD"])
        self.assertEqual([], payload.errors)
        headers = {"Authorization": f"Bearer {payload.token}", "GraphQL-Require-Preflight": "1"}
        self.roster = Roster(URL, headers)
        self.addCleanup(self.roster.http_client.close)
        self.user = self.roster.users(first=1).users.edges[0].node

    def test_a_wrong_password_is_an_error_of_the_form(self) -> None:
        payload = sign_in("wrong")
        self.assertFalse(payload.success)
        self.assertIsNone(payload.token)

    def test_a_user_is_found(self) -> None:
        found = self.roster.search_users(self.user.full_name).search_users
        self.assertIn(self.user.id, [edge.node.id for edge in found.edges])

    def test_a_user_is_updated_unless_the_input_is_wrong(self) -> None:
        wrong = UpdateUserInput(id=self.user.id, position="Nurse", phone="none")
        [error] = self.roster.update_user(wrong).update_user.errors
        self.assertEqual((["input", "phone"], ErrorCode.INVALID), (error.path, error.code))
        payload = self.roster.update_user(UpdateUserInput(id=self.user.id, position="Nurse")).update_user
        self.assertEqual(([], "Nurse"), (payload.errors, payload.user.position))

    def test_a_picture_is_uploaded_and_removed(self) -> None:
        picture = Upload(filename="picture.png", content=io.BytesIO(png()), content_type="image/png")
        payload = self.roster.set_user_avatar(SetUserAvatarInput(id=self.user.id, avatar=picture)).set_user_avatar
        self.assertEqual([], payload.errors)
        self.assertEqual(200, self.roster.http_client.get(payload.user.avatar_url).status_code)
        payload = self.roster.set_user_avatar(SetUserAvatarInput(id=self.user.id, avatar=None)).set_user_avatar
        self.assertIsNone(payload.user.avatar_url)

    def test_a_request_without_a_session_is_an_error(self) -> None:
        with Roster(URL) as visitor, self.assertRaises(GraphQLClientGraphQLMultiError) as raised:
            visitor.users()
        self.assertEqual("UNAUTHENTICATED", raised.exception.errors[0].extensions["code"])


if __name__ == "__main__":
    unittest.main()
