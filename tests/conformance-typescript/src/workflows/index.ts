export * from './activities';
export * from './children';
export * from './ends';
export * from './messages';
export * from './records';
export * from './scopes';
export * from './tracing-workflow';
export * from './versions';
