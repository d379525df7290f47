"""Updates of a service to a newer template or to other answers: the changes of its team stay."""
