-- What runs often is planned once per session. Left to itself, the server planned each call anew: it knows how long an
-- array is only when it sees one, and so a plan for any array never looked as good as one for the array at hand. That
-- was a quarter of the work of a small write, and half of that of a read.
--
-- A kept plan may have been made while a table was empty. It shall follow an index all the same. And as it does not know
-- its limits, it may look dear enough to be compiled, which takes longer than to run it.
alter function semel.write
  set plan_cache_mode = force_generic_plan
  set enable_bitmapscan = off
  set jit = off;

alter function semel.read
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_bitmapscan = off
  set jit = off;

alter function semel.read_state
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_bitmapscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
  set jit = off;
