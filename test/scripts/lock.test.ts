import assert from 'node:assert/strict'
import { test } from 'node:test'
import { missingPackages, platformOf } from '../../scripts/lock.ts'

test('the name of a platform package says its platform', () => {
  assert.deepEqual(platformOf('@a/cli-linux-x64-musl'), { os: ['linux'], cpu: ['x64'], libc: ['musl'] })
  assert.deepEqual(platformOf('@a/binding-linux-arm-gnueabihf'), { os: ['linux'], cpu: ['arm'] })
  assert.deepEqual(platformOf('@a/binding-linux-arm64-gnu'), {
    os: ['linux'],
    cpu: ['arm64'],
    libc: ['glibc'],
  })
  assert.deepEqual(platformOf('@a/win32-ia32-msvc'), { os: ['win32'], cpu: ['ia32'] })
  assert.equal(platformOf('fsevents'), undefined)
})

test('only optional packages that the lock file lacks are added', () => {
  const optionalDependencies = { 'a-linux-x64': '1.0.0', 'a-darwin-x64': '1.0.0', fsevents: '1.0.0' }
  const packages = {
    '': {},
    'node_modules/a': { version: '1.0.0', dev: true, optionalDependencies },
    'node_modules/a-linux-x64': { version: '1.0.0' },
  }
  assert.deepEqual(missingPackages(packages), {
    'node_modules/a-darwin-x64': {
      version: '1.0.0',
      os: ['darwin'],
      cpu: ['x64'],
      dev: true,
      optional: true,
    },
  })
})
