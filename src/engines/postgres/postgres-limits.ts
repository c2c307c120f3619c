import { assert } from '../../errors.ts'

const kib = 1024
const second = 1000

/** Bounds of this engine alone, each with its unit. Chosen by measuring; bench/postgres-*.ts measures again. */
export const postgresLimits = {
  connectionsDefault: 10,
  connectionsMin: 4,
  connectionsMax: 1_000,
  /** Connections that user transactions leave to everything else, or a handler could wait for itself. */
  connectionsKeptFree: 3,
  connectMs: 5 * second,
  idleConnectionMs: 30 * second,
  keepAliveMs: 10 * second,

  /** A statement that takes longer is given up, and its connection destroyed: nobody waits for a black hole (U3). */
  statementMsDefault: 30 * second,
  statementMsMax: 600 * second,
  /** For how long an operation tries to get a connection to a server that can do what it needs. */
  reconnectMsDefault: 20 * second,
  reconnectMsMax: 600 * second,
  reconnectPauseMsMin: 20,
  reconnectPauseMsMax: 1 * second,
  /** Attempts at a statement that the server rolled back for a reason that passes (deadlock, serialization). */
  attemptsMax: 8,
  attemptPauseMs: 5,
  /** The server ends a transaction of ours that holds locks and is silent for so long. */
  idleInTransactionMs: 10 * second,

  /** Events in one row, and characters of its body. */
  rowEventsMax: 256,
  rowCharsTarget: 64 * kib,
  /** What shares one transaction. From so many bytes on, whatever else waits is left for the next one. */
  groupRequestsMax: 256,
  groupBytesTarget: 32 * kib,
  /** Characters of the newest rows that are kept for readers at the ends of partitions. */
  recentCharsMax: 1024 * kib,
  /** Units that change fewer keys of a store are written to `state` at once. */
  stateLogKeysMin: 128,
  /** Of the log of one store: rows, and what they take in memory; and what those of all stores may take here. */
  stateLogRowsMax: 64,
  stateLogBytesMax: 2 * 1024 * kib,
  stateLogsBytesMax: 32 * 1024 * kib,
  /** What an entry of a log takes in memory beside its characters. */
  stateLogEntryBytes: 100,
  /** Stores whose logs are known here. */
  stateLogsMax: 4_096,
  /** A log whose oldest row is still good for more than this share spares too little: for so many units there is none. */
  stateLogLiveMax: 0.5,
  stateLogPauseUnits: 256,
  rowsPerRead: 512,
  rowsPerCatchUp: 500,

  /** After another process wrote to a topic of ours, we lock before we look, for so long. */
  companyMs: 1 * second,
  /** Hints to other processes (NOTIFY): at most one in so long, and the pause before listening again. */
  hintGapMs: 10,
  hintReconnectMs: 1 * second,
  /** Refused duplicates are counted in memory and written at most so often. */
  countersMs: 1 * second,
} as const

assert(postgresLimits.connectionsKeptFree < postgresLimits.connectionsMin, 'one user transaction can run')
