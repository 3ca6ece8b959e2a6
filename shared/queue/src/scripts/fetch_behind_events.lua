local bytes, entry = 0, nil
for i = 2, n, 2 do
  local id, data = string.match(leases[i], '^[^|]*'), '{"attempt":1,"worker":"' .. holder .. '"}'
  bytes, entry = bytes + #data + 48, append('started ' .. id, data)
end
bound_events(bytes, entry)
return out
