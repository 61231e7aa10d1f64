// What comes of the peer: bytes go to the machine of their connection, and what it makes of them to the owners of its
// exchanges, or to the scheduler as facts. A socket is read for as long as somebody wants what comes.
//
// Lent bytes pass through: nothing is kept here. What is delivered is a prefix of what was sent for that request (P10).
import {
  asciiLower,
  listMembers,
  MAX_AHEAD,
  parseDecimal,
  type Bytes,
  type Fields,
  type H11Event,
  type H2Event,
  type Millis,
} from '../http/index.ts'
import type { DeliveredEvent, RequestId } from './commands.ts'
import type { LiveConnection } from './connection.ts'
import { complete, disappoint, dropContent, exchangeFailed, giveUp, refuseConnects } from './ending.ts'
import type { Exchange } from './exchange.ts'
import { armMachine, armPing, over, restAnew, seatsOf } from './lifecycle.ts'
import { markDirty, write } from './output.ts'
import { SERVES } from './scheduler.ts'
import { continueContent, pull, tunnelRoom } from './sending.ts'
import type { PoolState } from './state.ts'
import { trace, traceStep } from './tracing.ts'

/** A server's Keep-Alive hint is a promise that ends while we are sending: stop relying on it so much earlier. */
const HINT_MARGIN: Millis = 2_000

export function feed(pool: PoolState, connection: LiveConnection, data: Bytes): void {
  const { machine, tunnel } = connection
  if (connection.closing) return
  if (connection.multiplexed) connection.lastReceived = pool.now
  if (tunnel !== undefined) {
    tunnel.attempt.bytesReceived += data.byteLength
    return deliverContent(pool, tunnel, { type: 'data', exchange: tunnel.attempt.onConnection, data })
  }
  machine.receiveData(data, pool.now)
  drainMachine(pool, connection)
}

/** Everything the machine has to tell; then the exchanges that ended leave, and the connection goes on or does not. */
export function drainMachine(pool: PoolState, connection: LiveConnection): void {
  const { machine } = connection
  const finished = pool.finished
  pool.finished = []
  for (let event = machine.nextEvent(); event !== undefined; event = machine.nextEvent())
    onEvent(pool, connection, event)
  const done = pool.finished
  pool.finished = finished
  for (const exchange of done) complete(pool, exchange)
  if (connection.phase === 'gone') return
  // Of what was to leave of tunnels that are over nothing is left: their streams are closed.
  if (connection.multiplexed && machine.active === connection.active) connection.flushing = false
  regulate(pool, connection)
  armMachine(pool, connection)
  if (machine.outputBytes > 0) markDirty(pool, connection)
  if (machine.wantsClose === 'no' || connection.tunnel !== undefined) return
  pool.scheduler.leaving(connection)
  if (machine.wantsClose === 'now') over(pool, connection)
  else markDirty(pool, connection)
}

// ── events ──

function onEvent(pool: PoolState, connection: LiveConnection, event: H11Event | H2Event): void {
  switch (event.type) {
    case 'data': {
      const exchange = connection.exchanges.get(event.exchange)
      if (exchange !== undefined) deliverContent(pool, exchange, event)
      return
    }
    case 'response':
    case 'informational':
    case 'end':
    case 'switched':
      return onMessage(pool, connection, event)
    case 'writable': {
      const exchange = connection.exchanges.get(event.exchange)
      // What is over with its response asks for no more.
      if (exchange?.content !== 'blocked' || pool.finished.includes(exchange)) return
      exchange.attempt.movedAt = pool.now
      return pull(pool, exchange)
    }
    case 'failed': {
      const exchange = connection.exchanges.get(event.exchange)
      if (exchange !== undefined) exchangeFailed(pool, exchange, event.fault, event.disposition)
      return
    }
    case 'slots':
      pool.scheduler.seats(connection, seatsOf(pool, connection))
      // At once: what is read next may take the seats away.
      return pool.decide(pool)
    case 'draining':
      // Each exchange that was not processed is told of as failed, too.
      return pool.scheduler.leaving(connection)
    case 'settings':
      return onSettings(pool, connection, event.settings, event.first)
    case 'ping':
      if (event.ack && connection.phase !== 'gone') armPing(pool, connection)
      return
    case 'closed':
      return disappoint(pool, connection, undefined)
    case 'error':
      return disappoint(pool, connection, undefined, event.fault)
    default:
      // What else closed and error mean stands in wantsClose; the rest is between the machines.
      return
  }
}

function onMessage(
  pool: PoolState,
  connection: LiveConnection,
  event: Extract<H11Event, { type: 'response' | 'informational' | 'end' | 'switched' }>,
): void {
  const exchange = connection.exchanges.get(event.exchange)
  if (exchange === undefined) return
  const { attempt } = exchange
  switch (event.type) {
    case 'informational':
      if (event.status === 100) continueContent(pool, exchange)
      return deliver(pool, exchange, event)
    case 'response':
      return onHead(pool, connection, exchange, event)
    case 'end':
      attempt.ended = true
      deliver(pool, exchange, event)
      // Each side of a tunnel ends for itself; any other request is over with its response.
      if (!exchange.uploading || !attempt.duplex) pool.finished.push(exchange)
      return
    case 'switched':
      connection.tunnel = exchange
      exchange.stage = 'tunnel'
      // Its source has given all: what is pulled from now on is not content.
      exchange.opened = false
      pool.timers.clear(exchange.ioDeadline)
      pool.scheduler.leaving(connection)
      write(pool, connection)
      deliver(pool, exchange, event)
      attempt.unconsumed += event.leading.byteLength
      tunnelRoom(pool, connection, exchange)
      // It may have come before the request was whole.
      if (connection.eof) endTunnel(pool, exchange)
  }
}

function onHead(
  pool: PoolState,
  connection: LiveConnection,
  exchange: Exchange,
  event: Extract<H11Event, { type: 'response' }>,
): void {
  const { attempt } = exchange
  attempt.headAt = attempt.movedAt = pool.now
  connection.site.failures = 0
  connection.backoff = undefined
  connection.answered = true
  // A request is whole before its connection is switched, though the server should have said 100. RFC 9110 §7.8.
  if (event.status === 101) continueContent(pool, exchange)
  // A final response instead of 100: the content is not wanted. RFC 9110 §10.1.1.
  // Nor is the rest of it where the server says no, or ends the connection by its own wish.
  const unwanted =
    !connection.multiplexed && (event.status >= 400 || connection.machine.closeReason === 'connection-close')
  attempt.duplex = connection.multiplexed && exchange.head.method === 'CONNECT' && event.status < 300
  if ((exchange.content === 'held' && !attempt.duplex) || (unwanted && event.status >= 200)) {
    dropContent(pool, exchange)
  }
  // Where the request is still leaving, the deadline of writing becomes that of reading; a switch waits for all of it.
  if (event.status !== 101) {
    if (exchange.stage === 'sending') pool.timers.after(exchange.ioDeadline, exchange.timeouts.read, pool.now)
    exchange.stage = 'receiving'
  }
  if (!connection.multiplexed) connection.hint = keepAliveHint(event.headers, pool.limits.maxKeepAliveHint)
  if (exchange.traced) traceStep(pool, exchange, 'receive_response_body', { status: event.status })
  deliver(pool, exchange, event)
  if (!attempt.duplex) return
  pool.timers.clear(exchange.ioDeadline)
  if (exchange.content === 'held') pull(pool, exchange)
}

/** How long `timeout` of a Keep-Alive field can be relied on, in milliseconds; undefined: none that can be read. */
function keepAliveHint(headers: Fields, most: Millis): Millis | undefined {
  const value = headers.get('keep-alive')
  if (value === undefined) return undefined
  for (const member of listMembers(value)) {
    const [name = '', seconds = ''] = member.split('=')
    const timeout = asciiLower(name) === 'timeout' ? parseDecimal(seconds) : -1
    if (timeout >= 0) return Math.min(timeout * 1000 - HINT_MARGIN, most)
  }
  return undefined
}

function onSettings(
  pool: PoolState,
  connection: LiveConnection,
  settings: Readonly<Record<string, number>>,
  first: boolean,
): void {
  for (const how of ['started', 'complete']) {
    trace(pool, undefined, connection, `http2.receive_remote_settings.${how}`, { settings })
  }
  const most = settings['maxConcurrentStreams']
  // Its own seats are given before anybody dials for others.
  if (connection.refusing || most !== undefined) {
    connection.refusing = false
    pool.scheduler.seats(connection, seatsOf(pool, connection))
  }
  // What the first leaves out is unlimited.
  if (first || most !== undefined) connection.site.streams = most || Infinity
  if (most !== undefined) pool.scheduler.suspend(connection, most === 0)
  if (first) {
    const extended = settings['enableConnectProtocol'] === 1
    if (!extended) refuseConnects(pool, connection)
    pool.scheduler.decide(connection, extended ? SERVES.any | SERVES['h2-connect'] : SERVES.any)
  }
  pool.decide(pool)
  connection.dialledFor = undefined
  restAnew(pool, connection)
}

// ── to the reader ──

export function deliver(pool: PoolState, exchange: Exchange, event: DeliveredEvent): void {
  pool.commands.push({ type: 'deliver', id: exchange.id, event })
}

/** The peer has ended its side of the tunnel. */
export function endTunnel(pool: PoolState, exchange: Exchange): void {
  const { attempt } = exchange
  if (attempt.ended) return
  attempt.ended = true
  deliver(pool, exchange, { type: 'end', exchange: attempt.onConnection, trailers: undefined })
  if (exchange.content === 'ended') complete(pool, exchange)
}

function deliverContent(pool: PoolState, exchange: Exchange, event: Extract<DeliveredEvent, { type: 'data' }>): void {
  const { attempt } = exchange
  attempt.movedAt = pool.now
  const bytes = event.data.byteLength
  if (exchange.draining !== undefined) {
    exchange.draining -= bytes
    consume(pool, exchange, bytes)
    if (exchange.draining < 0) giveUp(pool, exchange, undefined, true)
    return
  }
  attempt.unconsumed += bytes
  deliver(pool, exchange, event)
  if (exchange.stage === 'tunnel' && attempt.connection !== undefined) regulate(pool, attempt.connection)
}

export function onConsumed(pool: PoolState, id: RequestId, bytes: number): void {
  const exchange = pool.exchanges.get(id)
  if (exchange === undefined || exchange.stage === 'queued') return
  const { attempt } = exchange
  const used = Math.min(bytes, attempt.unconsumed)
  attempt.unconsumed -= used
  if (attempt.unconsumed === 0) attempt.movedAt = pool.now
  consume(pool, exchange, used)
}

/** Room for the sender again. */
function consume(pool: PoolState, exchange: Exchange, bytes: number): void {
  const { connection, onConnection } = exchange.attempt
  if (connection === undefined || bytes === 0) return
  const { machine } = connection
  if (exchange.stage !== 'tunnel') machine.consume(onConnection, bytes)
  if (machine.outputBytes > 0) markDirty(pool, connection)
  if (connection.paused) regulate(pool, connection)
}

/** Reads the socket as long as somebody wants what comes. */
function regulate(pool: PoolState, connection: LiveConnection): void {
  const { machine, tunnel, link } = connection
  if (link.destroyed) return
  const pause = tunnel === undefined ? machine.readState === 'paused' : tunnel.attempt.unconsumed >= MAX_AHEAD
  if (pause === connection.paused) return
  connection.paused = pause
  pool.commands.push({ type: pause ? 'pauseReading' : 'resumeReading', link: link.id })
  if (!pause && tunnel === undefined) drainMachine(pool, connection)
}

export function onDrain(pool: PoolState, id: RequestId, limit: number = pool.limits.drainBytes): void {
  const exchange = pool.exchanges.get(id)
  if (exchange === undefined || exchange.draining !== undefined) return
  // A tunnel has no end of its own.
  if (exchange.stage === 'tunnel' || exchange.attempt.duplex) return giveUp(pool, exchange, undefined, true)
  exchange.draining = limit
  pool.timers.after(exchange.deadline('drain'), pool.limits.drainTimeout, pool.now)
  const { attempt } = exchange
  const { unconsumed } = attempt
  // Also of who has no seat yet, whose attempt is never written.
  if (unconsumed === 0) return
  attempt.unconsumed = 0
  consume(pool, exchange, unconsumed)
}
