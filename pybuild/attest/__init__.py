"""Attestations: what a build says of its result, as SLSA provenance and as an SPDX bill of materials."""
