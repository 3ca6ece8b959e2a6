-- When a relay first set about a row, said before Redis hears of it: from then on Redis may have the job, also where the relay could not
-- say so any more. Null until then: nobody but who accepted the job can have handed it over.
alter table outbox add column begun_at timestamptz;
