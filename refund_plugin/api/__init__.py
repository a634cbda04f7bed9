"""GraphQL server; needs the extra `graphql`. `schema.Query` and `schema.Mutation` can be mounted in a host's own schema."""
