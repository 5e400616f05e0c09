"""What servers with an S3 interface have in common."""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from email.utils import formatdate
from http.client import OK

from vision_assets_tests.servers.loopback import HOST, ask
from vision_assets_tests.servers.process import Daemon

REGION = "us-east-1"


@dataclass(frozen=True)
class S3:
    """A storage that runs.

    Parameters
    ----------
    port : int
    access_key, secret_key : str
    server : Daemon
        The process that answers.
    behind : Daemon, optional
        The one that has the objects, if it is another.
    """

    port: int
    access_key: str
    secret_key: str
    server: Daemon
    behind: Daemon | None = None

    @property
    def endpoint(self) -> str:
        """The URL, without a bucket."""
        return f"http://{HOST}:{self.port}"

    def properties(self, bucket: str = "") -> dict[str, str]:
        """Return the properties by which Hadoop's client reaches a bucket; without a name, any."""
        prefix = "fs.s3a." + (f"bucket.{bucket}." if bucket else "")
        return {
            f"{prefix}endpoint": self.endpoint,
            f"{prefix}endpoint.region": REGION,
            f"{prefix}path.style.access": "true",
            f"{prefix}access.key": self.access_key,
            f"{prefix}secret.key": self.secret_key,
        }

    def create_bucket(self, name: str) -> None:
        """Create a bucket; one that is there stays as it is."""
        date = formatdate(usegmt=True)
        text = f"PUT\n\n\n{date}\n/{name}"  # by version 2 of Amazon's signatures, which is short
        mac = base64.b64encode(hmac.digest(self.secret_key.encode(), text.encode(), hashlib.sha1)).decode()
        headers = {"Date": date, "Authorization": f"AWS {self.access_key}:{mac}"}
        answer = ask(self.port, f"/{name}", "PUT", headers, seconds=60)
        if answer.status != OK and b"BucketAlreadyOwnedByYou" not in answer.body:
            raise self.server.error(f"does not create {name}: status {answer.status}, {answer.body!r}")

    def stop(self) -> None:
        """Kill the server; what is stored stays."""
        self.server.kill()

    def start(self) -> None:
        """Start the server again, at the same address, and wait until it answers."""
        self.server.start()
