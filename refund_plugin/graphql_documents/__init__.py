"""Stand-in: in a wheel this package holds the GraphQL documents of the top-level `graphql/` folder."""
