"""The assistants of this deployment: one file each, named by its id. docs/assistants.md says what is in one."""
