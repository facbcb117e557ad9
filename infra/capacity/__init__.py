"""Load, AWS quotas and cost of a deployment, as a model of plain sums. docs/scaling.md holds its tables."""
