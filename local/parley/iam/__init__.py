"""IAM: the calls of functions, compared with what the roles of the template allow."""
