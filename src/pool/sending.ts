// A request is given its seat and leaves: its head, then its content, chunk by chunk as the machine has room for it; after
// a switch, what goes through the tunnel.
//
// How bytes reach the network stands in output.ts; what comes back, in receiving.ts.
import {
  asciiLower,
  expectsContinue,
  Fields,
  formatAuthority,
  MAX_AHEAD,
  splitHostPort,
  type Bytes,
  type RequestHead,
} from '../http/index.ts'
import type { RequestId, TlsTarget } from './commands.ts'
import type { LiveConnection, Site } from './connection.ts'
import { complete, finish, giveUp } from './ending.ts'
import { Establishing, forwardingProxy } from './establish.ts'
import { NEVER, type Attempt, type Exchange } from './exchange.ts'
import { misused } from './failures.ts'
import { hold, over } from './lifecycle.ts'
import { handedOver, markDirty, requestSent, write } from './output.ts'
import type { PoolState } from './state.ts'
import { trace, traceStep } from './tracing.ts'

// ── the head ──

export function assign(pool: PoolState, connection: LiveConnection, exchange: Exchange): void {
  const { machine, link } = connection
  if (!connection.held) hold(pool, connection, true)
  const reused = connection.requests > 0
  exchange.clearPool(pool.timers)
  const mayBeStale = reused || connection.idleSince > -Infinity
  const attempt = exchange.begin(connection, mayBeStale, pool.now)
  if (exchange.traced) trace(pool, exchange, connection, 'pool.assigned', { reason: reused ? 'reused' : 'dialled' })
  const duplex = connection.multiplexed && exchange.head.method === 'CONNECT'
  try {
    const head = headFor(pool, exchange)
    if (exchange.traced) traceStep(pool, exchange, 'send_request_headers')
    attempt.onConnection = machine.sendRequest(head, { end: exchange.plan === 'none' && !duplex, ledger: attempt })
  } catch (error) {
    return finish(pool, exchange, { ok: false, error: misused(exchange, error) })
  }
  if (exchange.traced) traceStep(pool, exchange, 'send_request_body')
  connection.requests++
  connection.carry(exchange)
  pool.commands.push({
    type: 'assigned',
    id: exchange.id,
    link: link.id,
    reused,
    httpVersion: connection.httpVersion,
    info: connection.info,
  })
  pool.timers.after(exchange.ioDeadline, exchange.timeouts.write, pool.now)
  if (connection.requests >= pool.settings.maxRequestsPerConnection) pool.scheduler.leaving(connection)
  beginContent(pool, exchange, duplex)
  markDirty(pool, connection)
}

function headFor(pool: PoolState, exchange: Exchange): RequestHead {
  const { head, plan, site, expectContinue } = exchange
  const given = head.headers
  // It is asked for, whatever else the caller expects.
  const headers = expectContinue && !expectsContinue(given) ? given.with('Expect', '100-continue') : given
  const forward = forwardingProxy(pool.settings, site)
  if (forward === undefined)
    return headers === given && head.content === plan ? head : { ...head, headers, content: plan }
  // Host is that of the target, whatever CONNECT was to say. RFC 9112 §3.2.
  const added = forward.headers.rawPairs().filter(([name]) => !headers.has(name) && asciiLower(name) !== 'host')
  const all = Fields.from([...added, ...headers.rawPairs()])
  return { ...head, headers: all, content: plan, target: absoluteForm(site, head) }
}

/**
 * `scheme://authority/path`; for the `*` of OPTIONS without a path: of another method that would be asked of a resource.
 * What has an authority already stays. RFC 9112 §3.2.2, §3.2.4.
 */
function absoluteForm(site: Site, { method, target, headers, authority }: Exchange['head']): string {
  if (target === '*' ? method !== 'OPTIONS' : !target.startsWith('/')) return target
  // Host is to say the same, and the proxy does not look at it. RFC 9112 §3.2.
  const host = headers.get('host') || authority || formatAuthority(site.origin)
  return `http://${host}${target === '*' ? '' : target}`
}

// ── content ──

function beginContent(pool: PoolState, exchange: Exchange, duplex: boolean): void {
  if (exchange.plan === 'none') {
    // Of a tunnel the head alone is the request; its content waits until there is a way through.
    exchange.content = duplex ? 'held' : 'none'
    return handedOver(pool, exchange)
  }
  exchange.opened = true
  pool.commands.push({ type: 'openContent', id: exchange.id })
  if (!exchange.expectContinue) return pull(pool, exchange)
  exchange.content = 'held'
  const { expectTimeout } = pool.limits
  pool.timers.after(exchange.deadline('expect'), expectTimeout, pool.now)
  // Its head is all of the request that leaves without an answer.
  if (expectTimeout === Infinity) handedOver(pool, exchange)
}

export function pull(pool: PoolState, exchange: Exchange): void {
  exchange.content = 'pulled'
  exchange.pulled = true
  pool.commands.push({ type: 'pullContent', id: exchange.id })
}

export function continueContent(pool: PoolState, exchange: Exchange): void {
  // What a tunnel holds was not asked for: it waits for 2xx.
  if (exchange.content !== 'held' || !exchange.opened) return
  pool.timers.clear(exchange.deadline('expect'))
  exchange.attempt.movedAt = pool.now
  if (exchange.stage === 'waiting') {
    exchange.stage = 'sending'
    exchange.attempt.sentAt = NEVER
    pool.timers.after(exchange.ioDeadline, exchange.timeouts.write, pool.now)
  }
  pull(pool, exchange)
}

export function onContent(pool: PoolState, id: RequestId, data: Bytes): void {
  const exchange = pool.exchanges.get(id)
  const connection = exchange?.attempt.connection
  if (exchange?.content !== 'pulled' || connection === undefined) return
  if (exchange.stage === 'tunnel') return sendThrough(pool, connection, exchange, data)
  try {
    const room = connection.machine.sendData(exchange.attempt.onConnection, data)
    exchange.attempt.movedAt = pool.now
    if (room) pull(pool, exchange)
    else exchange.content = 'blocked'
  } catch (error) {
    return giveUp(pool, exchange, misused(exchange, error))
  }
  markDirty(pool, connection)
}

export function onContentEnd(pool: PoolState, id: RequestId, trailers: Fields | undefined): void {
  const exchange = pool.exchanges.get(id)
  const connection = exchange?.attempt.connection
  if (exchange?.uploading !== true || connection === undefined) return
  exchange.content = 'ended'
  if (exchange.stage === 'tunnel') {
    pool.commands.push({ type: 'end', link: connection.link.id })
    if (exchange.attempt.ended) complete(pool, exchange)
    return
  }
  try {
    connection.machine.end(exchange.attempt.onConnection, trailers)
  } catch (error) {
    return giveUp(pool, exchange, misused(exchange, error))
  }
  handedOver(pool, exchange)
  markDirty(pool, connection)
  if (exchange.attempt.ended) complete(pool, exchange)
  else pool.drain(pool, connection)
}

// ── output ──

export function flush(pool: PoolState, connection: LiveConnection): void {
  connection.dirty = false
  write(pool, connection)
  const { machine, closing } = connection
  if (closing || connection.tunnel !== undefined) return
  // What the peer leaves no room for by now is not waited for.
  if (machine.wantsClose !== 'no') over(pool, connection)
}

export function onDrained(pool: PoolState, id: number, bytes: number): void {
  const link = pool.links.get(id)
  if (link === undefined || link.destroyed) return
  if (link.owner instanceof Establishing) {
    link.ahead -= bytes
    return
  }
  const connection = link.owner
  connection.accepted += bytes
  connection.lastDrained = pool.now
  const { tunnel } = connection
  const { sent } = connection.exchanges
  while (sent.length > 0 && (sent[0] as Attempt).sentMark <= connection.accepted) {
    requestSent(pool, connection, sent.shift() as Attempt)
  }
  // Nothing waits for a mark: it is counted from here. Past 2^31 a counter would be no small integer any more, and all
  // code that was optimised for one would be made anew.
  if (connection.accepted === connection.written) connection.accepted = connection.written = 0
  if (tunnel?.content === 'blocked') tunnelRoom(pool, connection, tunnel)
  if (connection.machine.outputBytes > 0) markDirty(pool, connection)
}

// ── after a switch ──

function sendThrough(pool: PoolState, connection: LiveConnection, exchange: Exchange, data: Bytes): void {
  if (connection.closing || connection.writeFailure !== undefined) return
  connection.written += data.byteLength
  exchange.attempt.bytesSent += data.byteLength
  pool.commands.push({ type: 'write', link: connection.link.id, chunks: [data] })
  tunnelRoom(pool, connection, exchange)
}

export function tunnelRoom(pool: PoolState, connection: LiveConnection, exchange: Exchange): void {
  if (connection.written - connection.accepted < MAX_AHEAD) pull(pool, exchange)
  else exchange.content = 'blocked'
}

export function onStartTls(pool: PoolState, id: RequestId, tls: TlsTarget): void {
  const exchange = pool.exchanges.get(id)
  const link = exchange?.attempt.connection?.link
  if (exchange?.stage !== 'tunnel' || link === undefined || link.destroyed) return
  const { head, site } = exchange
  // Who was dialled may be a proxy: it is not the peer.
  const peer = head.method === 'CONNECT' ? splitHostPort(head.target).host : site.serverName
  pool.commands.push({ type: 'startTls', link: link.id, tls: { ...tls, serverName: tls.serverName || peer } })
}
