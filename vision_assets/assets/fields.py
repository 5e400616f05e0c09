"""Descriptions of settings that several assets have."""

FULL_REFRESH = "Make every row anew, also of images that have not changed since the last run."
