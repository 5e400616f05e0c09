import pytest

from vision_assets.redaction import redact


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("s3a://KEY:SECRET@bucket/a.tar", "s3a://***@bucket/a.tar"),
        ("'s3a://KEY:SE/CR+ET@bucket' and s3a://K:S@b", "'s3a://***@bucket' and s3a://***@b"),
        ("fs.s3a.secret.key=abc, fs.s3a.endpoint=here", "fs.s3a.secret.key=***, fs.s3a.endpoint=here"),
    ],
)
def test_passwords_are_not_shown(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "hdfs://namenode:8020/images/holiday@2x.jpg",
        "abfss://container@account.dfs.core.windows.net/images",
        "/home/me/a:b@c.jpg",
        "file:///home/me/a:b@c.jpg",
        "viewfs://store/a:b@c",
    ],
)
def test_what_is_no_password_stays(text: str) -> None:
    assert redact(text) == text
