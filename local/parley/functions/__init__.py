"""The Lambda service: each environment a process that runs AWS's own runtime against a Runtime API served here."""
