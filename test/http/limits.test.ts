// Limits, content plans and errors: what is validated before anything is built on it.
import { describe, expect, it } from 'vitest'
import {
  ConnectTimeout,
  Fields,
  HttpCoreError,
  LIMITS,
  LocalProtocolError,
  NetworkError,
  planOf,
  ReadError,
  resolveLimits,
  TimeoutException,
  type ContentPlan,
  type Limits,
  type LimitName,
} from '../../src/http/index.ts'

describe('resolveLimits', () => {
  it('gives each role its own defaults', () => {
    expect(resolveLimits(undefined, 'client').maxHeadBytes).toBe(131_072)
    expect(resolveLimits(undefined, 'server').maxHeadBytes).toBe(65_536)
    expect(resolveLimits({ maxHeadBytes: 1000 }, 'server').maxHeadBytes).toBe(1000)
    expect(resolveLimits({ expectTimeout: null }, 'client').expectTimeout).toBe(Infinity)
  })
  it('gives what it has made as it is, for the role that it was made for', () => {
    const own = resolveLimits({ maxHeadBytes: 1000, expectTimeout: null }, 'client')
    expect(resolveLimits(own, 'client')).toBe(own)
    expect(() => resolveLimits(own, 'server')).toThrow(RangeError)
    expect(Object.isFrozen(own)).toBe(true)
    expect(resolveLimits({ ...own, expectTimeout: 1 }, 'client')).not.toBe(own)
  })
  it.each(Object.keys(LIMITS) as LimitName[])('%s accepts its bounds and nothing outside them', (name) => {
    const { min, max, off, client, server } = LIMITS[name]
    for (const value of [min, max, client, server]) expect(resolveLimits({ [name]: value }, 'client')[name]).toBe(value)
    for (const value of [min - 1, max + 1, NaN, Infinity, -Infinity, min + 0.5]) {
      expect(() => resolveLimits({ [name]: value }, 'client')).toThrow(RangeError)
    }
    if (off) expect(resolveLimits({ [name]: null }, 'client')[name]).toBe(Infinity)
    else expect(() => resolveLimits({ [name]: null }, 'client')).toThrow(RangeError)
    expect(() => resolveLimits({ [name]: '1' } as unknown as Limits, 'client')).toThrow(TypeError)
  })
  it.each([1, true, 'maxHeadBytes'])('takes no %o for limits', (given) => {
    expect(() => resolveLimits(given as unknown as Limits, 'client')).toThrow('must be an object')
  })
  it('an abandoned response is not read for longer than a minute, whatever is asked for', () => {
    expect(() => resolveLimits({ drainTimeout: 60_001 }, 'client')).toThrow(RangeError)
    expect(() => resolveLimits({ drainTimeout: null }, 'client')).toThrow(RangeError)
  })
  it('refuses a name that it does not know, also one of Object’s own', () => {
    expect(() => resolveLimits({ maxHeadBites: 1 } as Limits, 'client')).toThrow(TypeError)
    expect(() => resolveLimits({ toString: 1 } as Limits, 'client')).toThrow(TypeError)
  })
})

describe('planOf', () => {
  const plan = (fields: Record<string, string | string[]>, content?: ContentPlan): ContentPlan | undefined =>
    planOf(Fields.from(fields), content)

  it('lets the framing fields decide, and the caller where they say nothing', () => {
    expect(plan({})).toBeUndefined()
    expect(plan({ 'content-length': '5' })).toEqual({ length: 5 })
    expect(plan({ 'transfer-encoding': 'Chunked' })).toBe('unknown')
    expect(plan({}, { length: 3 })).toEqual({ length: 3 })
    expect(plan({ 'content-length': '3' }, { length: 3 })).toEqual({ length: 3 })
    expect(plan({ 'content-length': '0' }, 'none')).toBe('none')
    expect(plan({}, 'unknown')).toBe('unknown')
    expect(plan({ 'transfer-encoding': 'chunked' }, 'unknown')).toBe('unknown')
  })
  it('reads a length once, and answers what it has read', () => {
    let reads = 0
    const content = {
      get length(): number {
        return reads++
      },
    }
    expect(plan({}, content)).toEqual({ length: 0 })
    expect(plan({ 'content-length': '1' }, content)).toEqual({ length: 1 })
    expect(reads).toBe(2)
  })
  it('takes the length from the fields where the caller does not know it', () => {
    expect(plan({ 'content-length': '9' }, 'unknown')).toEqual({ length: 9 })
  })
  it.each<[Record<string, string | string[]>, ContentPlan | undefined]>([
    [{ 'content-length': '+5' }, undefined],
    [{ 'content-length': '5, 5' }, undefined],
    [{ 'content-length': ['5', '5'] }, undefined],
    [{ 'content-length': ['5', '6'] }, undefined],
    [{ 'content-length': '' }, undefined],
    [{ 'transfer-encoding': 'gzip, chunked' }, undefined],
    [{ 'transfer-encoding': 'chunked, chunked' }, undefined],
    [{ 'transfer-encoding': ['chunked', 'chunked'] }, undefined],
    [{ 'transfer-encoding': ', chunked' }, undefined],
    [{ 'transfer-encoding': 'chunked,' }, undefined],
    [{ 'transfer-encoding': '' }, undefined],
    [{ 'transfer-encoding': 'chunked' }, 'none'],
    [{ 'transfer-encoding': 'chunked', 'content-length': '5' }, undefined],
    [{ 'content-length': '5' }, 'none'],
    [{ 'content-length': '5' }, { length: 6 }],
    [{ 'transfer-encoding': 'chunked' }, { length: 6 }],
    [{}, { length: -1 }],
    [{}, { length: 1.5 }],
    [{}, { length: NaN }],
    [{}, 5 as never],
    [{}, 'hello' as never],
    [{}, {} as never],
  ])('refuses %j with %j', (fields, content) => {
    expect(() => plan(fields, content)).toThrow(LocalProtocolError)
  })
})

describe('errors', () => {
  it('are one tree under one base, with names that survive minifying', () => {
    const error = new ConnectTimeout('too slow', { code: 'connect-timeout', phase: 'dns', cause: 1 })
    expect(error).toBeInstanceOf(TimeoutException)
    expect(error).toBeInstanceOf(HttpCoreError)
    expect(error).not.toBeInstanceOf(NetworkError)
    expect([error.name, error.code, error.phase, error.cause, error.disposition]).toEqual([
      'ConnectTimeout',
      'connect-timeout',
      'dns',
      1,
      'not-sent',
    ])
    expect(String(error)).toBe('ConnectTimeout: too slow')
    expect(error.stack?.startsWith('ConnectTimeout: too slow')).toBe(true)
    expect(new ReadError('x', { code: 'y' })).not.toHaveProperty('cause')
  })
})
