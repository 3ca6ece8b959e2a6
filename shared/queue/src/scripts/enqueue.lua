-- Slow path, concatenated after enqueue_quick.lua, whose header has the arguments, the result and the bound.

for i = 7, #ARGV, 3 do
  local options = ARGV[i + 2]
  if options == '' then
    first = first or i
  else
    store_plain(i - 3)
    local id, envelope = ARGV[i], ARGV[i + 1]
    local code, other = accept(id, envelope, cjson.decode(options), room)
    if code == 0 then room = room - 1 end
    if code ~= 0 then answer(i, code, other) end
    if FULL and (code == 0 or code == 4) then event('enqueued', id, envelope) end
  end
end
store_plain(#ARGV - 2)
flush_events()
if added then wake() end
return out
