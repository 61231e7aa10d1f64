// What the pools of both interfaces do alike: making the machine, taking a request's options apart, telling a trace.
import { checkTrailers, misuse, type Fields, type FieldsInit, type Millis } from '../../http/index.ts'
import { PoolMachine, type Http2, type PoolSettings, type TraceEvent } from '../../pool/lean.ts'
import type { Network } from '../network.ts'
import { discard } from './content.ts'
import type { Exchange, ExchangeHooks } from './exchange.ts'
import {
  checkBoolean,
  checkedFields,
  checkInteger,
  checkMillis,
  checkNames,
  checkType,
  type CommonRequestOptions,
} from './options.ts'
import { tell, type Traced } from './trace.ts'

const GiB = 1024 ** 3
const DEFAULT_GRACE: Millis = 30_000

export function makeMachine(settings: PoolSettings, network: Network, http2: Http2): PoolMachine {
  const seed = Math.floor((network.random?.() ?? Math.random()) * 2 ** 32)
  return new PoolMachine(
    { catchUp: network.caughtUp !== undefined, once: network.once, ...settings },
    { now: network.now(), seed, http2 },
  )
}

const NO_HOOKS: ExchangeHooks = {
  trailers: undefined,
  expectContinue: false,
  sniHostname: undefined,
  signal: undefined,
  maxContentBytes: GiB,
  onInformational: undefined,
  trace: undefined,
}

const OPTION_NAMES: ReadonlySet<string> = new Set<keyof CommonRequestOptions<unknown>>([
  'headers',
  'content',
  'trailers',
  'timeout',
  'signal',
  'target',
  'protocol',
  'sniHostname',
  'expectContinue',
  'priority',
  'onInformational',
  'trace',
  'maxContentBytes',
])

/** Throws the signal's own reason where it has been aborted. */
export function hooksOf(options: CommonRequestOptions<unknown> | undefined): ExchangeHooks {
  if (options === undefined) return NO_HOOKS
  checkNames('request', options, OPTION_NAMES)
  const { signal, onInformational, trace, sniHostname, trailers } = options
  if (signal !== undefined) checkSignal(signal)
  if (signal?.aborted === true) {
    discard(options.content)
    throw signal.reason
  }
  checkType('onInformational', onInformational, 'function')
  checkType('trace', trace, 'function')
  checkType('sniHostname', sniHostname, 'string')
  return {
    trailers: trailers === undefined || typeof trailers === 'function' ? trailers : trailersOf(trailers),
    expectContinue: checkBoolean('expectContinue', options.expectContinue, false),
    sniHostname,
    signal,
    maxContentBytes: checkInteger('maxContentBytes', options.maxContentBytes, GiB, 0, Number.MAX_SAFE_INTEGER),
    onInformational,
    trace,
  }
}
function trailersOf(init: FieldsInit): Fields {
  const trailers = checkedFields(init)
  checkTrailers(trailers)
  return trailers
}
const SIGNAL_NAMES = ['aborted', 'addEventListener', 'removeEventListener']
function checkSignal(signal: unknown): void {
  if (typeof signal === 'object' && signal !== null && SIGNAL_NAMES.every((name) => name in signal)) return
  throw new TypeError('signal must be an AbortSignal')
}

export function closing(options: { readonly grace?: Millis | undefined } | undefined): {
  type: 'close'
  grace: Millis
} {
  return { type: 'close', grace: options?.grace === undefined ? DEFAULT_GRACE : checkMillis('grace', options.grace) }
}

/** What the user's own `resolve` gave. For nothing the platform takes this machine, and it reads no further than a NUL. */
export function checkAddresses(addresses: unknown): readonly string[] {
  if (Array.isArray(addresses) && [...addresses].every((one) => typeof one === 'string' && /^[^\0]+$/.test(one)))
    return addresses as string[]
  throw misuse('resolve', 'RFC 9110 §4.3', 'resolve must give an array of addresses')
}

/** Tells everybody; the request whose event it is fails with what a callback throws. */
export function report(event: TraceEvent, exchange: Exchange | undefined, pool: Traced): void {
  try {
    tell(event, exchange?.trace, pool)
  } catch (error) {
    if (exchange !== undefined) exchange.giveUp(error)
    // An event of no request: there is no call that could fail with it.
    else
      queueMicrotask(() => {
        throw error
      })
  }
}
