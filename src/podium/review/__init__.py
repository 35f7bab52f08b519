"""People in the loop: gates on answers, and questions to a person."""
