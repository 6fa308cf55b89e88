"""Clients of S3, made once in the fork server. Its runs inherit them and their files.

Otherwise the clients of tables and run logs would take half a second of each run. Neither has
connected yet, so forks share no connection.
"""

import boto3

from visionops_assets.resources.tables import store_client
from visionops_assets.settings import load_settings

store_client(load_settings())
# The manager of run logs uses the session of the process, which keeps the models that it has read.
boto3.resource("s3", region_name=load_settings().s3_region)
