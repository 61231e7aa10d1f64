// What comes of a deadline, of an exchange or of a connection. Those that much traffic would move all the time are not set
// anew with every byte: when they fire, it is looked at since when nothing has moved.
import type { Millis } from '../http/index.ts'
import type { ConnectionTimer, LiveConnection } from './connection.ts'
import { breakConnection, giveUp, giveUpOnAll, graceOver } from './ending.ts'
import type { Exchange, ExchangeTimer } from './exchange.ts'
import { poolTimeout, readTimeout, totalTimeout, writeTimeout } from './failures.ts'
import { armPing, destroy, expiryOf, ping, probe, PROBE_TIMEOUT, retire } from './lifecycle.ts'
import { drainMachine } from './receiving.ts'
import { continueContent } from './sending.ts'
import type { PoolState } from './state.ts'

export function exchangeDue(pool: PoolState, exchange: Exchange, timer: ExchangeTimer): void {
  switch (timer) {
    case 'pool':
      return giveUp(pool, exchange, poolTimeout(exchange))
    case 'total':
      return giveUpOnAll(pool, exchange, totalTimeout(exchange), exchange.attempt.ended)
    case 'expect':
      return continueContent(pool, exchange)
    case 'drain':
      return giveUp(pool, exchange, undefined, true)
    case 'backoff':
      return pool.scheduler.release(exchange)
    case 'io':
      return ioDue(pool, exchange)
  }
}

/**
 * Nothing moved for so long, or so it seems: bytes do not set the deadline anew, they are looked at when it fires. What has
 * its response and goes on is a tunnel, which has no such deadline.
 */
function ioDue(pool: PoolState, exchange: Exchange): void {
  const connection = exchange.attempt.connection as LiveConnection
  const sending = exchange.stage === 'sending'
  // What was still to be written never will be: a response may come all the same.
  const unheard = sending && connection.writeFailure !== undefined
  const duration = sending && !unheard ? exchange.timeouts.write : exchange.timeouts.read
  const since = stuckSince(exchange, connection)
  // Who waits for nobody is looked at again, also where the patience of others is 0.
  const due = since === Infinity ? pool.now + Math.max(duration, 1) : since + duration
  if (due > pool.now) pool.timers.at(exchange.ioDeadline, due)
  else if (unheard) graceOver(pool, connection, [exchange])
  else {
    giveUp(pool, exchange, sending ? writeTimeout(exchange) : readTimeout(exchange))
    probe(pool, connection)
  }
}

/** Infinity: it does not wait for the peer. */
function stuckSince(exchange: Exchange, connection: LiveConnection): Millis {
  const { stage, content } = exchange
  const { movedAt, unconsumed, onConnection } = exchange.attempt
  if (stage === 'receiving') return unconsumed > 0 ? Infinity : movedAt
  if (stage !== 'sending' || connection.writeFailure !== undefined) return movedAt
  // A slow source is not the peer's fault, nor is what was held back on purpose.
  const unsent = connection.machine.unsent(onConnection)
  const held = content === 'blocked' || (content === 'ended' && unsent > 0)
  if (connection.written <= connection.accepted && !held) return Infinity
  const ownWindow = held && connection.machine.sendWindow(onConnection) <= 0
  return ownWindow ? movedAt : Math.max(movedAt, connection.lastDrained)
}

export function connectionDue(pool: PoolState, connection: LiveConnection, timer: ConnectionTimer): void {
  switch (timer) {
    case 'idle': {
      const due = connection.idleSince + expiryOf(pool, connection)
      if (!connection.idle) return
      if (due > pool.now) return pool.timers.at(connection.idleDeadline, due)
      return retire(pool, connection, 'idle-expired')
    }
    case 'age':
      // Only of HTTP/2 would another have no more to say than this one.
      if (connection.multiplexed && pool.scheduler.isAwaited(connection))
        return pool.timers.after(connection.deadline('age'), PROBE_TIMEOUT, pool.now)
      return retire(pool, connection, 'max-age')
    case 'closing':
      return destroy(pool, connection)
    case 'grace':
      return graceOver(pool, connection)
    case 'machine':
      connection.machine.handleTimeout(pool.now)
      return drainMachine(pool, connection)
    case 'ping':
      return pingDue(pool, connection)
  }
}

function pingDue(pool: PoolState, connection: LiveConnection): void {
  if (connection.pinged) return breakConnection(pool, connection, new Error('the server did not answer a PING in time'))
  const option = pool.settings.http2Options?.keepAlivePing
  if (!option) return
  const due = connection.lastReceived + option.after
  if (due > pool.now) pool.timers.at(connection.deadline('ping'), due)
  else if (connection.active === 0 && option.whileIdle !== true) armPing(pool, connection)
  else ping(pool, connection, option.within)
}
