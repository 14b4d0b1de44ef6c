#!lua name=tongguan_window
-- The windows of one partition and the offset that they belong to, changed together or not at all. KEYS: meta (hash:
-- offset, epoch, watermarks) and seg (sorted set: packed segments by their newest event time in ms), one hash tag.
-- Epochs only grow, also over a lost database: a claim takes at least the server's clock.

local function epoch_of(meta)
	return tonumber(redis.call('HGET', meta, 'epoch') or '0')
end

-- ARGV: none. Returns {offset or '', epoch, watermarks or ''}.
local function claim(keys)
	local now = redis.call('TIME')
	local epoch = math.max(epoch_of(keys[1]) + 1, tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000))
	local text = string.format('%.0f', epoch)
	redis.call('HSET', keys[1], 'epoch', text)
	local got = redis.call('HMGET', keys[1], 'offset', 'watermarks')
	return {got[1] or '', text, got[2] or ''}
end

local function add(seg, args, from)
	for i = from, #args, 2 do
		redis.call('ZADD', seg, args[i], args[i + 1])
	end
end

-- ARGV: expected offset, epoch, new offset, watermarks, trim (ms, '' for nothing), then score, segment, …
-- OK; FENCED: somebody else has claimed; MISSING: nothing stands here, or what a forgotten owner wrote.
local function commit(keys, args)
	local offset, epoch = redis.call('HGET', keys[1], 'offset'), epoch_of(keys[1])
	if epoch > tonumber(args[2]) then
		return 'FENCED'
	end
	if not offset or epoch < tonumber(args[2]) then
		return 'MISSING'
	end
	if offset ~= args[1] then
		-- The answer to this very call was lost: it is done.
		return offset == args[3] and 'OK' or 'FENCED'
	end
	add(keys[2], args, 6)
	if args[5] ~= '' then
		redis.call('ZREMRANGEBYSCORE', keys[2], '-inf', '(' .. args[5])
	end
	redis.call('HSET', keys[1], 'offset', args[3], 'watermarks', args[4])
	return 'OK'
end

-- The owner writes its windows back, in pieces; the offset comes with the last one.
-- ARGV: epoch, first (1/0), last (1/0), offset, watermarks, then score, segment, …
local function rewrite(keys, args)
	if epoch_of(keys[1]) > tonumber(args[1]) then
		return 'FENCED'
	end
	if args[2] == '1' then
		redis.call('DEL', keys[2])
		redis.call('HDEL', keys[1], 'offset')
		redis.call('HSET', keys[1], 'epoch', args[1])
	elseif epoch_of(keys[1]) ~= tonumber(args[1]) then
		return 'MISSING'
	end
	add(keys[2], args, 6)
	if args[3] == '1' then
		redis.call('HSET', keys[1], 'offset', args[4], 'watermarks', args[5])
	end
	return 'OK'
end

-- ARGV: epoch, from, to (ranks). Returns segments; an error once somebody else has claimed.
local function restore(keys, args)
	if epoch_of(keys[1]) ~= tonumber(args[1]) then
		return redis.error_reply('FENCED another owner has claimed this partition')
	end
	return redis.call('ZRANGE', keys[2], args[2], args[3])
end

redis.register_function('tg_claim', claim)
redis.register_function('tg_commit', commit)
redis.register_function('tg_rewrite', rewrite)
redis.register_function{function_name = 'tg_restore', callback = restore, flags = {'no-writes'}}
