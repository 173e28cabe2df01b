"""Addresses of objects as a browser takes them. For a folder that is its `file://` address, which nobody can sign."""

from __future__ import annotations

from urllib.parse import quote

from torus_assets.clients.object_store import open_store


def web_address(url: str, key: str) -> str:
    """`https://{bucket}.s3.{region}.amazonaws.com/{key}`, or below the endpoint that `AWS_ENDPOINT_URL` names."""
    from torus_assets.clients.s3_store import endpoint_of, region_of

    store = open_store(url)
    if store.bucket is None:
        return store.uri(key)
    path = quote(f"{store.prefix}/{key}".lstrip("/"))
    if endpoint := endpoint_of({}):
        return f"{endpoint.rstrip('/')}/{store.bucket}/{path}"
    region = region_of({})
    return f"https://{store.bucket}.s3.{region}.amazonaws.com{'.cn' * region.startswith('cn-')}/{path}"


def signed_address(url: str, key: str, seconds: int) -> str:
    """An address that lets anybody read the object for so long, under the credentials of the default chain."""
    store = open_store(url)
    if store.bucket is None:
        return store.uri(key)
    import boto3.session
    from botocore.config import Config

    from torus_assets.clients.s3_store import endpoint_of, region_of

    client = boto3.session.Session().client(
        "s3", region_name=region_of({}), endpoint_url=endpoint_of({}), config=Config(signature_version="s3v4")
    )
    named = {"Bucket": store.bucket, "Key": f"{store.prefix}/{key}".lstrip("/")}
    return client.generate_presigned_url("get_object", Params=named, ExpiresIn=seconds)
