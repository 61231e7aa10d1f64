// Where we and llhttp differ on its own fixtures, and why.
interface Difference {
  readonly why: string
  readonly rule: string
  readonly ids: readonly string[]
}

export const DIFFERENCES: readonly Difference[] = [
  {
    why: 'a fragment is no part of a request-target',
    rule: 'RFC 9112 §3.2',
    ids: [
      'llhttp-request-uri-165',
      'llhttp-request-transfer-encoding-530',
      'llhttp-request-transfer-encoding-713',
      'llhttp-request-transfer-encoding-751',
      'llhttp-request-transfer-encoding-793',
    ],
  },
  {
    why: 'userinfo in a request-target is an error, and this one is not even percent-encoded',
    rule: 'RFC 9110 §4.2.4',
    ids: ['llhttp-request-uri-222'],
  },
  {
    why: 'any token is a method; llhttp knows a list of them',
    rule: 'RFC 9110 §9.1',
    ids: ['llhttp-request-invalid-356'],
  },
  {
    why: 'other protocols that look alike are not HTTP',
    rule: 'RFC 9112 §2.3',
    ids: ['llhttp-request-method-372', 'llhttp-response-sample-40'],
  },
  {
    why: 'a folded framing field is refused, whatever the leniency',
    rule: 'RFC 9112 §5.2, §11.2',
    ids: ['llhttp-request-connection-576', 'llhttp-request-sample-333', 'llhttp-response-transfer-encoding-389'],
  },
  {
    why: 'whitespace around a value is not part of it',
    rule: 'RFC 9112 §5.1',
    ids: ['llhttp-response-content-length-168', 'llhttp-response-sample-118'],
  },
  {
    why: 'a head is judged when all of it is there',
    rule: 'RFC 9112 §2.2',
    ids: ['llhttp-request-content-length-100', 'llhttp-request-invalid-490'],
  },
  {
    why: 'what follows the last message of a connection is not looked at',
    rule: 'RFC 9112 §9.6',
    ids: ['llhttp-request-connection-107', 'llhttp-response-connection-164'],
  },
  {
    why: 'empty lines are skipped before a request, not before a response',
    rule: 'RFC 9112 §2.2',
    ids: ['llhttp-response-connection-586', 'llhttp-response-sample-695'],
  },
  {
    why: 'the content of CONNECT, or of a request that upgrades, is framed as any; the switch comes after it',
    rule: 'RFC 9112 §6.3',
    ids: ['llhttp-request-method-96', 'llhttp-request-content-length-189'],
  },
  {
    why: 'the fixture passes over content that was announced; here it has to come',
    rule: 'RFC 9112 §6.3',
    ids: ['llhttp-request-content-length-444'],
  },
  {
    why: 'no leniency of ours touches the framing of chunks',
    rule: 'RFC 9112 §7.1',
    ids: ['llhttp-request-invalid-568', 'llhttp-request-transfer-encoding-1215'],
  },
  {
    why: 'a leniency of llhttp that we do not have',
    rule: 'RFC 9112 §2.2, §6.1, RFC 9110 §5.5',
    ids: [
      'llhttp-request-content-length-229',
      'llhttp-request-content-length-519',
      'llhttp-request-invalid-181',
      'llhttp-request-lenient-header-value-relaxed-8',
    ],
  },
]
