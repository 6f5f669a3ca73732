"""Telemetry: what happened. Decodes what SDKs send into typed, redacted rows and crashes."""
