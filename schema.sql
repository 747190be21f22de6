-- The whole of a histq database. Applied once, to an empty file, by histq/db.
-- Every instant is an integer: Unix milliseconds, UTC. Spans are half-open: start <= t < end.

-- One row a series. points, first and last are counters kept by the transaction that writes prices,
-- so that coverage never scans the table.
create table series (
  id         integer primary key,
  source     text    not null,              -- binance, coingecko, ...
  symbol     text    not null,              -- as the market is called, without separator: BTCUSDT
  interval   text    not null,              -- 1m, 1h, 1d, 1w, 1M, ...; spot = irregular observations
  points     integer not null default 0,    -- rows in prices
  first      integer,                       -- open time of the earliest stored candle
  last       integer,                       -- open time of the latest stored candle
  off_grid   integer not null default 0,    -- 1 once a candle opened off the grid
  doubled    integer not null default 0,    -- candles past the first of their slot
  created_at integer not null,
  unique (source, symbol, interval)
) strict;

-- What a provider did not say is null.
create table prices (
  series_id              integer not null references series (id),
  timestamp              integer not null,  -- open time of the candle
  open                   real,
  high                   real,
  low                    real,
  close                  real    not null,
  volume                 real,              -- in base currency
  quote_volume           real,              -- in quote currency
  trades                 integer,
  taker_buy_volume       real,
  taker_buy_quote_volume real,
  close_time             integer,           -- null where it is the regular one: next open - 1 ms
  created_at             integer not null,  -- when the row was written
  primary key (series_id, timestamp)
) strict, without rowid;

-- The queue: one row a message, one message a page of candles.
-- autoincrement: an id is never used twice, so a stale consumer cannot settle a stranger's message.
create table messages (
  id           integer primary key autoincrement,
  source       text    not null,
  symbol       text    not null,
  interval     text    not null,
  start        integer not null,            -- the window that was asked for
  "end"        integer not null,
  points       integer not null,
  priority     integer not null,            -- 0 high, 1 normal, 2 low
  queued_at    integer not null,
  available_at integer not null default 0,  -- delay, backoff and lease expiry in one; 0 = at once
  failures     integer not null default 0,  -- reported failures
  deliveries   integer not null default 0,  -- leases that were not handed back
  token        text,                        -- of the lease that holds it
  owner        text,                        -- the process that holds it
  error        text,                        -- of the last failure
  via          text,                        -- the file it came from; null: the source's own API
  past_queued_at  integer,                  -- of one that was a dead letter: when it was queued
  past_failures   integer,                  -- first, and what it had gone through until then
  past_deliveries integer,
  unique (source, symbol, interval, start, "end")
) strict;

-- The packed candles of a message (histq/page.py), apart from it: SQLite writes a whole row, however
-- long, when one column of it changes, and a lease changes three.
create table bodies (
  message_id integer primary key references messages (id),
  body       blob    not null
) strict;

-- Covers lease order, limits and depth without touching the bodies.
create index messages_due on messages (priority, available_at, id, points, deliveries, failures);
create index messages_leased on messages (owner) where token is not null;

-- What cannot be stored, with its reason.
create table dead_letters (
  id         integer primary key autoincrement,
  kind       text    not null check (kind in ('page', 'candle', 'body')),
  source     text    not null,
  symbol     text    not null,
  interval   text    not null,
  start      integer not null,
  "end"      integer not null,
  points     integer not null,
  reason     text    not null check (reason in ('poison', 'permanent', 'exhausted')),
  error      text    not null,
  failures   integer not null,
  deliveries integer not null,
  queued_at  integer not null,
  failed_at  integer not null,
  raw_data   text    not null               -- JSON: the candles, or the body that was no candles
) strict;
-- One letter a window for a body, and one for the same bad candle: asking again piles up none.
create unique index dead_letters_body on dead_letters (source, symbol, interval, start, "end")
  where kind = 'body';
create unique index dead_letters_candle
  on dead_letters (source, symbol, interval, start, "end", raw_data) where kind = 'candle';
create index dead_letters_failed on dead_letters (failed_at);

-- The ledger: what is known of every stretch of a series. Spans of one series never overlap.
create table spans (
  series_id integer not null references series (id),
  start     integer not null,
  "end"     integer not null,
  state     text    not null check (state in
              ('wanted', 'queued', 'stored', 'empty', 'unlisted', 'open', 'dead', 'failed')),
  seen      integer not null default 0,     -- how often the provider said that nothing is there
  asked_at  integer,                        -- when it last answered so, or failed
  reason    text,                           -- why it failed, or is accepted as empty
  via       text,                           -- the file its candles came from; null: the API
  primary key (series_id, start)
) strict, without rowid;

-- Same key, different values, told later: the first value stays in prices.
-- autoincrement: an id that somebody noted is never that of another revision.
create table revisions (
  id        integer primary key autoincrement,
  series_id integer not null references series (id),
  timestamp integer not null,
  seen_at   integer not null,
  old       text    not null,               -- JSON object of the fields that differ
  new       text    not null,
  applied_at integer                        -- null until "revisions apply" has put it in prices
) strict;
create index revisions_key on revisions (series_id, timestamp, applied_at);

-- One row a command: the audit trail.
create table runs (
  id         integer primary key,
  command    text    not null,
  owner      text    not null,
  started_at integer not null,
  ended_at   integer,                       -- null: still running, or killed
  exit_code  integer,
  summary    text                           -- JSON, as --json prints it
) strict;

create index runs_command on runs (command, started_at);

-- One row a consumed batch and source.
-- autoincrement: who read up to an id misses nothing that comes after, though all was deleted.
create table ingestion_stats (
  id           integer primary key autoincrement,
  run_id       integer not null references runs (id),
  source       text    not null,
  at           integer not null,
  messages     integer not null,
  points       integer not null,
  inserted     integer not null,
  duplicates   integer not null,
  revised      integer not null,
  dead         integer not null,
  elapsed_ms   real    not null,
  points_per_s real    not null
) strict;
create index ingestion_stats_at on ingestion_stats (at);

-- What was wrong, one row each time: from the first look that saw it until it was over.
create table alerts (
  id           integer primary key autoincrement,
  name         text    not null,            -- queue_deep, series_stale, ...
  subject      text    not null,            -- queue, binance/BTCUSDT/1h, ...
  severity     text    not null check (severity in ('warning', 'critical')),
  text         text    not null,            -- what is wrong, and what to do
  since        integer not null,            -- the first look that saw it
  started_at   integer,                     -- null until it lasted long enough to be told
  better_since integer,                     -- the first look since when it is not seen; null: it is
  ended_at     integer                      -- null while it is open
) strict;
create unique index alerts_open on alerts (name, subject) where ended_at is null;

-- What channels are to tell of it, written with the alert: a kill loses none, and none is doubled.
create table notices (
  id       integer primary key autoincrement,
  alert_id integer not null references alerts (id),
  turn     text    not null check (turn in ('start', 'end')),
  channel  text    not null,
  text     text    not null,
  asked_at integer not null,
  told_at  integer,                         -- null until the channel took it
  unique (alert_id, turn, channel)
) strict;
create index notices_untold on notices (channel, id) where told_at is null;

create view historical_prices as
  select s.symbol, p.timestamp, p.open, p.high, p.low, p.close, p.volume, s.source, s.interval,
         p.created_at, p.quote_volume, p.trades, p.taker_buy_volume, p.taker_buy_quote_volume,
         p.close_time
    from series s join prices p on p.series_id = s.id;

create view latest_prices as
  select s.symbol, s.source, s.interval, p.timestamp as latest_timestamp, p.close as latest_price
    from series s join prices p on p.series_id = s.id and p.timestamp = s.last;

create view data_coverage as
  select symbol, source, interval, points as data_points, first as earliest_timestamp,
         last as latest_timestamp, (last - first) / 86400000.0 as days_coverage
    from series where points > 0;

create view ingestion_performance as
  select source, avg(points_per_s) as avg_throughput, max(points_per_s) as max_throughput,
         avg(points) as avg_batch_size, count(*) as total_batches
    from ingestion_stats group by source;

create view failed_ingestions as
  select symbol, start as timestamp, error as error_message, failures as retry_count, failed_at,
         raw_data
    from dead_letters;
