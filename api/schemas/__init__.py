"""The shapes of requests and answers: what is validated, documented and tested."""
