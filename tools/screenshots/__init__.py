"""Pictures of the pages that a run and a store have, from made-up documents."""
