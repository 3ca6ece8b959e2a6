bound_events(#envelope + 48, append('enqueued ' .. id, envelope))
return {}
