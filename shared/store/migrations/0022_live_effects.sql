-- Whether what an attempt was permitted to do reaches the outside world, or is only simulated. A claim that a crash left open is
-- settled by that: what may have reached the outside world is looked for there, also where nothing is sent any more. Null stands
-- for rows from before, which may have.
alter table effects add column live boolean;
