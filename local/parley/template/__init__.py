"""SAM and CloudFormation templates: read, resolved, and described as values."""
