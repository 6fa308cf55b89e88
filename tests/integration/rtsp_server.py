"""A real RTSP server, GStreamer's, with one video behind a password: FILE PORT USER PASSWORD.

Run by Debian's own Python, with its packages gir1.2-gst-rtsp-server-1.0, python3-gi and
gstreamer1.0-plugins-good.
"""

import sys

import gi  # type: ignore[import-not-found] # of Debian's Python

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # type: ignore[import-not-found] # noqa: E402

LAUNCH = "( filesrc location={} ! qtdemux ! rtph264pay name=pay0 pt=96 config-interval=-1 )"


def main() -> None:
    """Serve `/gate` on loopback until killed."""
    path, port, user, password = sys.argv[1:]
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", user)
    auth = GstRtspServer.RTSPAuth()
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    for what in ("media.factory.access", "media.factory.construct"):
        permissions.add_permission_for_role(user, what, True)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(LAUNCH.format(path))
    factory.set_permissions(permissions)
    server.get_mount_points().add_factory("/gate", factory)
    server.attach(None)
    GLib.MainLoop().run()


main()
